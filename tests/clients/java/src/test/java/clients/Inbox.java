package clients;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Predicate;

/** What an application received, by place. */
final class Inbox {
  private final Map<String, List<String>> entries = new ConcurrentHashMap<>();

  void put(String place, String entry) {
    entries.compute(place, (name, before) -> {
      var all = new ArrayList<>(before == null ? List.of() : before);
      all.add(entry);
      return all;
    });
  }

  String await(String place, Predicate<String> fits) {
    return Side.within(15, "an event at " + place, () -> entries.getOrDefault(place, List.of()).stream().filter(fits).findFirst().orElse(null));
  }
}
