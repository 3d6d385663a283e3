package clients;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.Empty;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.dapr.client.domain.CloudEvent;
import io.dapr.v1.AppCallbackGrpc;
import io.dapr.v1.CommonProtos.InvokeRequest;
import io.dapr.v1.CommonProtos.InvokeResponse;
import io.dapr.v1.DaprAppCallbackProtos.BindingEventRequest;
import io.dapr.v1.DaprAppCallbackProtos.BindingEventResponse;
import io.dapr.v1.DaprAppCallbackProtos.ListInputBindingsResponse;
import io.dapr.v1.DaprAppCallbackProtos.ListTopicSubscriptionsResponse;
import io.dapr.v1.DaprAppCallbackProtos.TopicEventRequest;
import io.dapr.v1.DaprAppCallbackProtos.TopicEventResponse;
import io.dapr.v1.DaprAppCallbackProtos.TopicSubscription;
import io.grpc.Status;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.Executors;

/**
 * The two applications. The SDK's own server for HTTP is a Spring Boot library; here the routes are the JDK's, and the SDK reads the events. The
 * gRPC application is made with the SDK's generated service.
 */
final class Apps {
  static final List<String> BROKERS = List.of("pubsub-memory", "pubsub-redis");

  /** A running application. */
  record Running(int port, Runnable stop) {}

  static Running http(Inbox inbox) {
    try {
      var server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
      server.setExecutor(Executors.newCachedThreadPool(task -> {
        var thread = new Thread(task);
        thread.setDaemon(true);
        return thread;
      }));
      server.createContext("/", exchange -> answer(exchange, inbox));
      server.start();
      return new Running(server.getAddress().getPort(), () -> server.stop(0));
    } catch (IOException failure) {
      throw new IllegalStateException(failure);
    }
  }

  private static void answer(HttpExchange exchange, Inbox inbox) throws IOException {
    var body = exchange.getRequestBody().readAllBytes();
    var text = new String(body, StandardCharsets.UTF_8);
    switch (exchange.getRequestURI().getPath()) {
      case "/dapr/subscribe" -> {
        var all = BROKERS.stream().map(b -> "{\"pubsubname\":\"" + b + "\",\"topic\":\"programmed\",\"route\":\"/programmed\"}").toList();
        send(exchange, 200, all.toString());
      }
      case "/programmed", "/declared" -> {
        var event = CloudEvent.deserialize(body);
        inbox.put(event.getTopic(), String.join(" ", event.getPubsubName(), event.getSource(), event.getType(), String.valueOf(event.getData())));
        send(exchange, 200, "{\"status\":\"SUCCESS\"}");
      }
      case "/cron" -> {
        if (exchange.getRequestMethod().equals("POST")) {
          inbox.put("cron", "");
        }
        send(exchange, 200, "{}");
      }
      case "/echo" -> send(exchange, 200, Side.json(new Said(exchange.getRequestMethod(), text, exchange.getRequestURI().getQuery())));
      case "/fail" -> send(exchange, 418, "refused by the application");
      default -> send(exchange, 404, "");
    }
  }

  /** What the echo says. */
  record Said(String method, String body, String query) {}

  private static void send(HttpExchange exchange, int status, String text) throws IOException {
    var bytes = text.getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("content-type", "application/json");
    exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
    exchange.getResponseBody().write(bytes);
    exchange.close();
  }

  static Running grpc(Inbox inbox) {
    try {
      var address = new InetSocketAddress("127.0.0.1", 0);
      var server = NettyServerBuilder.forAddress(address).maxInboundMessageSize(8 << 20).addService(new Callback(inbox)).addService(new Echo()).build().start();
      return new Running(server.getPort(), server::shutdownNow);
    } catch (IOException failure) {
      throw new IllegalStateException(failure);
    }
  }

  private static final class Callback extends AppCallbackGrpc.AppCallbackImplBase {
    private final Inbox inbox;

    Callback(Inbox inbox) {
      this.inbox = inbox;
    }

    @Override
    public void onInvoke(InvokeRequest request, StreamObserver<InvokeResponse> answer) {
      if (!request.getMethod().equals("echo")) {
        answer.onError(Status.INVALID_ARGUMENT.withDescription("refused by the application").asRuntimeException());
        return;
      }
      var extension = request.getHttpExtension();
      var said = Side.json(new Said(extension.getVerb().name(), request.getData().getValue().toStringUtf8(), extension.getQuerystring()));
      var data = Any.newBuilder().setValue(ByteString.copyFromUtf8(said));
      finish(answer, InvokeResponse.newBuilder().setContentType("application/json").setData(data).build());
    }

    @Override
    public void listTopicSubscriptions(Empty request, StreamObserver<ListTopicSubscriptionsResponse> answer) {
      var all = BROKERS.stream().map(b -> TopicSubscription.newBuilder().setPubsubName(b).setTopic("programmed").build()).toList();
      finish(answer, ListTopicSubscriptionsResponse.newBuilder().addAllSubscriptions(all).build());
    }

    @Override
    public void onTopicEvent(TopicEventRequest event, StreamObserver<TopicEventResponse> answer) {
      inbox.put(event.getTopic(), String.join(" ", event.getPubsubName(), event.getSource(), event.getType(), event.getData().toStringUtf8()));
      finish(answer, TopicEventResponse.getDefaultInstance());
    }

    @Override
    public void listInputBindings(Empty request, StreamObserver<ListInputBindingsResponse> answer) {
      finish(answer, ListInputBindingsResponse.newBuilder().addBindings("cron").build());
    }

    @Override
    public void onBindingEvent(BindingEventRequest event, StreamObserver<BindingEventResponse> answer) {
      inbox.put(event.getName(), "");
      finish(answer, BindingEventResponse.getDefaultInstance());
    }

    private static <T> void finish(StreamObserver<T> answer, T message) {
      answer.onNext(message);
      answer.onCompleted();
    }
  }
}
