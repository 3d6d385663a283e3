package clients;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import io.dapr.client.domain.HttpExtension;
import io.dapr.exceptions.DaprException;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** From one application to the other through two sidecars. The parameter is what the called application speaks. */
final class InvokeTest {
  private static Side callee(String protocol) {
    return protocol.equals("http") ? Side.HTTP : Side.GRPC;
  }

  private static Side caller(String protocol) {
    return protocol.equals("http") ? Side.GRPC : Side.HTTP;
  }

  /** Cases of what comes later are left out by a word of their name. */
  @BeforeEach
  void later(TestInfo test) {
    var words = System.getenv().getOrDefault("PROA_CLIENT_LATER", "").split(" ");
    var name = test.getTestMethod().orElseThrow().getName();
    assumeFalse(Arrays.stream(words).anyMatch(word -> !word.isEmpty() && name.startsWith(word)), name);
  }

  private static String echo(String protocol, HttpExtension how, byte[] body) {
    var metadata = Map.of("content-type", "text/plain");
    return new String(caller(protocol).client.invokeMethod(callee(protocol).id, "echo", body, how, metadata).block());
  }

  @ParameterizedTest
  @ValueSource(strings = {"http", "grpc"})
  void invoked(String protocol) {
    var said = echo(protocol, HttpExtension.PUT, "ping".getBytes());
    assertTrue(said.contains("\"method\":\"PUT\"") && said.contains("\"body\":\"ping\""), said);
  }

  @ParameterizedTest
  @ValueSource(strings = {"http", "grpc"})
  void invokedWithAQuery(String protocol) {
    var how = new HttpExtension(io.dapr.client.DaprHttp.HttpMethods.GET, Map.of("a", List.of("b")), Map.of());
    assertTrue(echo(protocol, how, new byte[0]).contains("\"query\":\"a=b\""));
  }

  @ParameterizedTest
  @ValueSource(strings = {"http", "grpc"})
  void invokedWithAMegabyte(String protocol) {
    var large = "x".repeat(1 << 20);
    assertTrue(echo(protocol, HttpExtension.POST, large.getBytes()).contains(large));
  }

  @ParameterizedTest
  @ValueSource(strings = {"http", "grpc"})
  void invokedOverPlainHttp(String protocol) {
    var spelled = caller(protocol).http("POST", "/v1.0/invoke/" + callee(protocol).id + "/method/echo?a=b", "ping");
    var named = caller(protocol).http("POST", "/echo?a=b", "ping", "dapr-app-id", callee(protocol).id);
    assertEquals(200, spelled.statusCode());
    assertTrue(spelled.body().contains("\"body\":\"ping\"") && spelled.body().contains("\"query\":\"a=b\""), spelled.body());
    assertEquals(spelled.body(), named.body());
  }

  @ParameterizedTest
  @ValueSource(strings = {"http", "grpc"})
  void theAppRefuses(String protocol) {
    var refused = assertThrows(DaprException.class, () -> caller(protocol).client.invokeMethod(callee(protocol).id, "fail", HttpExtension.POST, Map.of()).block());
    assertEquals(protocol.equals("http") ? 418 : 400, refused.getHttpStatusCode());
  }

  @Test
  void nobodyIsInvoked() {
    var refused = assertThrows(DaprException.class, () -> Side.HTTP.client.invokeMethod("nobody", "echo", HttpExtension.GET, Map.of()).block());
    assertEquals("ERR_DIRECT_INVOKE", refused.getErrorCode());
  }

  @Test
  void proxiedCall() {
    var stub = Side.HTTP.client.newGrpcStub(Side.GRPC.id, Echo.Stub::new).withDeadlineAfter(20, TimeUnit.SECONDS);
    assertEquals("ping", ClientCalls.blockingUnaryCall(stub.getChannel(), Echo.SAY, stub.getCallOptions(), "ping"));
  }

  @Test
  void proxiedStream() throws Exception {
    var stub = Side.HTTP.client.newGrpcStub(Side.GRPC.id, Echo.Stub::new).withDeadlineAfter(20, TimeUnit.SECONDS);
    var heard = new ArrayList<String>();
    var end = new CompletableFuture<List<String>>();
    var said = ClientCalls.asyncBidiStreamingCall(stub.getChannel().newCall(Echo.CHAT, stub.getCallOptions()), new StreamObserver<String>() {
      @Override
      public void onNext(String text) {
        heard.add(text);
      }

      @Override
      public void onError(Throwable failure) {
        end.completeExceptionally(failure);
      }

      @Override
      public void onCompleted() {
        end.complete(heard);
      }
    });
    var texts = List.of("one", "two", "three");
    texts.forEach(said::onNext);
    said.onCompleted();
    assertEquals(texts, end.get(20, TimeUnit.SECONDS));
  }
}
