package clients;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.dapr.client.DaprClient;
import io.dapr.client.DaprClientBuilder;
import io.dapr.config.Properties;
import java.io.File;
import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.Function;
import java.util.function.Supplier;

/** An application, what it received, its sidecar and the SDK's client. Both sides live for the whole run. */
final class Side {
  private static final String SECRETS = "{\"colour\": \"blue\", \"database\": {\"password\": \"open sesame\"}}";
  private static final HttpClient WEB = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  private static final ObjectMapper JSON = new ObjectMapper();
  // Behind what they need.
  static final Side HTTP = new Side("http", Apps::http);
  static final Side GRPC = new Side("grpc", Apps::grpc);

  final String id;
  final Inbox inbox = new Inbox();
  final DaprClient client;
  final int httpPort = freePort();
  private final Path home;
  private final Process process;
  private final String web;

  private Side(String protocol, Function<Inbox, Apps.Running> start) {
    try {
      var run = System.getenv("PROA_CLIENT_RUN");
      id = "java-" + protocol + "-" + run;
      var app = start.apply(inbox);
      home = Files.createTempDirectory("proa-client-");
      web = protocol.equals("http") ? "http://127.0.0.1:" + app.port() + "/echo" : HTTP.web;
      writeResources("java-http-" + run);
      var grpcPort = freePort();
      var builder = new ProcessBuilder(
          System.getenv("PROA_BIN"), "--app-id", id, "--app-port", "" + app.port(), "--app-protocol", protocol,
          "--dapr-http-port", "" + httpPort, "--dapr-grpc-port", "" + grpcPort,
          "--dapr-internal-grpc-port", "" + freePort(), "--metrics-port", "" + freePort(),
          "--dapr-listen-addresses", "127.0.0.1", "--resources-path", home.resolve("resources").toString());
      builder.environment().put("PROA_CLIENT_SECRET", "from the environment");
      builder.directory(home.toFile()).redirectErrorStream(true).redirectOutput(home.resolve("sidecar.log").toFile());
      process = builder.start();
      Runtime.getRuntime().addShutdownHook(new Thread(() -> close(app)));
      awaitHealth();
      client = new DaprClientBuilder()
          .withPropertyOverride(Properties.HTTP_PORT, "" + httpPort)
          .withPropertyOverride(Properties.GRPC_PORT, "" + grpcPort)
          .build();
    } catch (IOException failure) {
      throw new IllegalStateException(failure);
    }
  }

  private void writeResources(String httpApp) throws IOException {
    for (var folder : List.of("files", "resources")) {
      Files.createDirectory(home.resolve(folder));
    }
    Files.writeString(home.resolve("secrets.json"), SECRETS);
    var values = Map.of("DIR", home.toString(), "REDIS_HOST", System.getenv("PROA_CLIENT_REDIS"), "WEB_URL", web, "HTTP_APP", httpApp);
    for (var source : Files.list(Path.of("../resources")).filter(p -> p.toString().endsWith(".yaml")).toList()) {
      var text = Files.readString(source);
      for (var value : values.entrySet()) {
        text = text.replace("$" + value.getKey(), value.getValue());
      }
      Files.writeString(home.resolve("resources").resolve(source.getFileName()), text);
    }
  }

  private void awaitHealth() throws IOException {
    try {
      within(60, "the sidecar's health", () -> process.isAlive() && http("GET", "/v1.0/healthz", null).statusCode() == 204 ? true : null);
    } catch (AssertionError failure) {
      throw new IllegalStateException(Files.readString(home.resolve("sidecar.log")));
    }
  }

  private void close(Apps.Running app) {
    process.destroyForcibly();
    app.stop().run();
    remove(home.toFile());
  }

  private static void remove(File file) {
    Arrays.stream(file.isDirectory() ? file.listFiles() : new File[0]).forEach(Side::remove);
    file.delete();
  }

  /** Plain HTTP to the sidecar, with headers as names and values. */
  HttpResponse<String> http(String method, String path, String body, String... headers) {
    var sent = body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofString(body);
    var request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + httpPort + path)).method(method, sent).timeout(Duration.ofSeconds(20));
    request.header("content-type", "application/json");
    for (var at = 0; at < headers.length; at += 2) {
      request.header(headers[at], headers[at + 1]);
    }
    try {
      return WEB.send(request.build(), HttpResponse.BodyHandlers.ofString());
    } catch (IOException | InterruptedException failure) {
      throw new IllegalStateException(failure);
    }
  }

  static String json(Object value) {
    try {
      return JSON.writeValueAsString(value);
    } catch (JsonProcessingException failure) {
      throw new IllegalStateException(failure);
    }
  }

  /** A fresh key or text. */
  static String unique() {
    return "k" + UUID.randomUUID().toString().replace("-", "");
  }

  /** Asks until there is an answer; a failure to ask is none. */
  static <T> T within(int seconds, String what, Supplier<T> look) {
    var end = System.nanoTime() + Duration.ofSeconds(seconds).toNanos();
    while (true) {
      T found = null;
      try {
        found = look.get();
      } catch (IllegalStateException notYet) {
        // Asked again below.
      }
      if (found != null) {
        return found;
      }
      if (System.nanoTime() > end) {
        throw new AssertionError("gave up waiting for " + what);
      }
      try {
        Thread.sleep(20);
      } catch (InterruptedException stop) {
        throw new IllegalStateException(stop);
      }
    }
  }

  private static int freePort() {
    try (var probe = new ServerSocket(0)) {
      return probe.getLocalPort();
    } catch (IOException failure) {
      throw new IllegalStateException(failure);
    }
  }
}
