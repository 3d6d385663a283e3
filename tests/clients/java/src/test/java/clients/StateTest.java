package clients;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.dapr.client.DaprClient;
import io.dapr.client.domain.State;
import io.dapr.client.domain.StateOptions;
import io.dapr.client.domain.TransactionalStateOperation;
import io.dapr.client.domain.TransactionalStateOperation.OperationType;
import io.dapr.exceptions.DaprException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class StateTest {
  private static final StateOptions FIRST_WRITE = new StateOptions(StateOptions.Consistency.STRONG, StateOptions.Concurrency.FIRST_WRITE);
  private final DaprClient client = Side.HTTP.client;

  private String value(String store, String key) {
    return client.getState(store, key, String.class).block().getValue();
  }

  @ParameterizedTest
  @ValueSource(strings = {"memory", "sqlite", "redis"})
  void savedFoundDeleted(String store) {
    var key = Side.unique();
    assertNull(value(store, key));
    client.saveState(store, key, "a value").block();
    assertEquals("a value", value(store, key));
    client.deleteState(store, key).block();
    assertNull(value(store, key));
  }

  @ParameterizedTest
  @ValueSource(strings = {"memory", "sqlite", "redis"})
  void bulk(String store) {
    var keys = List.of(Side.unique(), Side.unique(), Side.unique());
    var items = new ArrayList<State<?>>();
    keys.forEach(key -> items.add(new State<>(key, "of " + key, (String) null)));
    client.saveBulkState(store, items).block();
    var found = client.getBulkState(store, keys, String.class).block().stream().collect(Collectors.toMap(State::getKey, State::getValue));
    assertEquals(keys.stream().collect(Collectors.toMap(key -> key, key -> "of " + key)), found);
  }

  @ParameterizedTest
  @ValueSource(strings = {"memory", "sqlite", "redis"})
  void transaction(String store) {
    var kept = Side.unique();
    var gone = Side.unique();
    client.saveState(store, gone, "x").block();
    client.executeStateTransaction(store, List.of(
        new TransactionalStateOperation<>(OperationType.UPSERT, new State<>(kept, "kept", "")),
        new TransactionalStateOperation<>(OperationType.DELETE, new State<>(gone)))).block();
    assertEquals("kept", value(store, kept));
    assertNull(value(store, gone));
  }

  @ParameterizedTest
  @ValueSource(strings = {"memory", "sqlite", "redis"})
  void wrongEtagIsRefused(String store) {
    var key = Side.unique();
    client.saveState(store, key, "one").block();
    var etag = client.getState(store, key, String.class).block().getEtag();
    client.saveState(store, key, etag, "two", FIRST_WRITE).block();
    var refused = assertThrows(DaprException.class, () -> client.saveState(store, key, etag, "three", FIRST_WRITE).block());
    assertEquals("ABORTED", refused.getErrorCode());
    refused = assertThrows(DaprException.class, () -> client.deleteState(store, key, etag, FIRST_WRITE).block());
    assertEquals("ABORTED", refused.getErrorCode());
    assertEquals("two", value(store, key));
  }

  @ParameterizedTest
  @ValueSource(strings = {"memory", "sqlite", "redis"})
  void timeToLive(String store) {
    var key = Side.unique();
    client.saveState(store, key, null, "short", Map.of("ttlInSeconds", "2"), null).block();
    assertEquals("short", value(store, key));
    Side.within(8, "expiry", () -> value(store, key) == null ? true : null);
  }

  @Test
  void unknownStore() {
    var refused = assertThrows(DaprException.class, () -> client.saveState("nowhere", "k", "v").block());
    assertEquals("DAPR_STATE_NOT_FOUND", refused.getErrorDetails().get(io.dapr.exceptions.DaprErrorDetails.ErrorDetailType.ERROR_INFO, "reason",
        io.dapr.utils.TypeRef.STRING));
  }
}
