package clients;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.dapr.client.DaprClient;
import io.dapr.exceptions.DaprException;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class BlocksTest {
  private final DaprClient client = Side.HTTP.client;

  private static Side side(String protocol) {
    return protocol.equals("http") ? Side.HTTP : Side.GRPC;
  }

  @ParameterizedTest
  @CsvSource({"http,pubsub-memory", "http,pubsub-redis", "grpc,pubsub-memory", "grpc,pubsub-redis"})
  void published(String protocol, String broker) {
    var side = side(protocol);
    var text = Side.unique();
    side.client.publishEvent(broker, "programmed", Map.of("text", text)).block();
    var event = side.inbox.await("programmed", entry -> entry.contains(text));
    assertTrue(event.startsWith(broker + " " + side.id + " com.dapr.event.sent "), event);
  }

  @ParameterizedTest
  @ValueSource(strings = {"pubsub-memory", "pubsub-redis"})
  void publishedToADeclaredSubscription(String broker) {
    var text = Side.unique();
    client.publishEvent(broker, "declared", text).block();
    Side.HTTP.inbox.await("declared", entry -> entry.contains(text));
  }

  @ParameterizedTest
  @CsvSource({"http,pubsub-memory", "http,pubsub-redis", "grpc,pubsub-memory", "grpc,pubsub-redis"})
  void publishedInBulk(String protocol, String broker) {
    var side = side(protocol);
    var texts = List.of(Side.unique(), Side.unique());
    assertTrue(side.client.publishEvents(broker, "programmed", "text/plain", texts).block().getFailedEntries().isEmpty());
    texts.forEach(text -> side.inbox.await("programmed", entry -> entry.contains(text)));
  }

  @Test
  void unknownBroker() {
    assertThrows(DaprException.class, () -> client.publishEvent("nobody", "topic", "x").block());
  }

  @Test
  void filesBinding() {
    var file = Map.of("fileName", Side.unique());
    var note = "a note".getBytes();
    client.invokeBinding("files", "create", note, file).block();
    assertArrayEquals(note, client.invokeBinding("files", "get", new byte[0], file).block());
    client.invokeBinding("files", "delete", new byte[0], file).block();
    assertThrows(DaprException.class, () -> client.invokeBinding("files", "get", new byte[0], file).block());
  }

  @Test
  void redisBinding() {
    var key = Map.of("key", Side.unique());
    client.invokeBinding("redis-keys", "create", "kept".getBytes(), key).block();
    assertEquals("kept", new String(client.invokeBinding("redis-keys", "get", new byte[0], key).block()));
  }

  @Test
  void webBinding() {
    var answer = new String(client.invokeBinding("web", "post", "hello".getBytes(), Map.of()).block());
    assertTrue(answer.contains("\"method\":\"POST\"") && answer.contains("\"body\":\"hello\""), answer);
  }

  @ParameterizedTest
  @ValueSource(strings = {"http", "grpc"})
  void cronReachesTheApp(String protocol) {
    side(protocol).inbox.await("cron", entry -> true);
  }

  @Test
  void secrets() {
    assertEquals(Map.of("colour", "blue"), client.getSecret("secrets-file", "colour").block());
    assertEquals(Map.of("PROA_CLIENT_SECRET", "from the environment"), client.getSecret("secrets-env", "PROA_CLIENT_SECRET").block());
    assertEquals(Map.of("database:password", "open sesame"), client.getBulkSecret("secrets-file").block().get("database:password"));
    assertThrows(DaprException.class, () -> client.getSecret("nothing", "colour").block());
  }

  @ParameterizedTest
  @ValueSource(strings = {"http", "grpc"})
  void metadata(String protocol) {
    var side = side(protocol);
    var key = Side.unique();
    assertEquals(204, side.http("PUT", "/v1.0/metadata/" + key, "a value").statusCode());
    var found = side.client.getMetadata().block();
    assertEquals(side.id, found.getId());
    assertEquals("a value", found.getAttributes().get(key));
    assertTrue(found.getComponents().stream().anyMatch(c -> c.getName().equals("redis") && c.getType().equals("state.redis")));
    assertTrue(found.getSubscriptions().stream().anyMatch(s -> s.getPubsubname().equals("pubsub-redis") && s.getTopic().equals("programmed")));
  }

  @Test
  void health() {
    client.waitForSidecar(5000).block();
  }
}
