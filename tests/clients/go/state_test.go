package clients

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var firstWrite = dapr.WithConcurrency(dapr.StateConcurrencyFirstWrite)

func onEveryStore(t *testing.T, run func(*testing.T, dapr.Client, string)) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) { run(t, httpSide.client, store) })
	}
}

// value is what the store holds; empty without the key.
func value(t *testing.T, client dapr.Client, store, key string) string {
	t.Helper()
	item, err := client.GetState(limited(t), store, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(item.Value)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, got, wanted T) {
	t.Helper()
	if got != wanted {
		t.Fatalf("got %v, wanted %v", got, wanted)
	}
}

func TestSaveGetDelete(t *testing.T) {
	onEveryStore(t, func(t *testing.T, client dapr.Client, store string) {
		key, data := unique(), make([]byte, 256)
		for i := range data {
			data[i] = byte(i)
		}
		equal(t, value(t, client, store, key), "")
		check(t, client.SaveState(limited(t), store, key, data, nil))
		if found := value(t, client, store, key); !bytes.Equal([]byte(found), data) {
			t.Fatalf("%q", found)
		}
		check(t, client.DeleteState(limited(t), store, key, nil))
		equal(t, value(t, client, store, key), "")
	})
}

func TestBulk(t *testing.T) {
	onEveryStore(t, func(t *testing.T, client dapr.Client, store string) {
		name, keys, items := unique(), []string{}, []*dapr.SetStateItem{}
		for i := range 20 {
			keys = append(keys, fmt.Sprintf("%s-%d", name, i))
			items = append(items, &dapr.SetStateItem{Key: keys[i], Value: fmt.Appendf(nil, "v%d", i), Etag: &dapr.ETag{}, Options: &dapr.StateOptions{}})
		}
		check(t, client.SaveBulkState(limited(t), store, items...))
		found, err := client.GetBulkState(limited(t), store, append(keys, name+"-none"), nil, 5)
		check(t, err)
		values := map[string]string{}
		for _, item := range found {
			values[item.Key] = string(item.Value)
		}
		for i, key := range keys {
			equal(t, values[key], fmt.Sprintf("v%d", i))
		}
		equal(t, values[name+"-none"], "")
		check(t, client.DeleteBulkState(limited(t), store, keys, nil))
		equal(t, value(t, client, store, keys[7]), "")
	})
}

func TestTransaction(t *testing.T) {
	onEveryStore(t, func(t *testing.T, client dapr.Client, store string) {
		kept, gone := unique(), unique()
		check(t, client.SaveState(limited(t), store, gone, []byte("x"), nil))
		check(t, client.ExecuteStateTransaction(limited(t), store, nil, []*dapr.StateOperation{
			{Type: dapr.StateOperationTypeUpsert, Item: &dapr.SetStateItem{Key: kept, Value: []byte("kept")}},
			{Type: dapr.StateOperationTypeDelete, Item: &dapr.SetStateItem{Key: gone}},
		}))
		equal(t, value(t, client, store, kept), "kept")
		equal(t, value(t, client, store, gone), "")
	})
}

func TestWrongEtagIsRefused(t *testing.T) {
	onEveryStore(t, func(t *testing.T, client dapr.Client, store string) {
		key := unique()
		check(t, client.SaveState(limited(t), store, key, []byte("one"), nil))
		item, err := client.GetState(limited(t), store, key, nil)
		check(t, err)
		check(t, client.SaveStateWithETag(limited(t), store, key, []byte("two"), item.Etag, nil, firstWrite))
		refused := client.SaveStateWithETag(limited(t), store, key, []byte("three"), item.Etag, nil, firstWrite)
		equal(t, status.Code(refused), codes.Aborted)
		options := &dapr.StateOptions{Concurrency: dapr.StateConcurrencyFirstWrite}
		refused = client.DeleteStateWithETag(limited(t), store, key, &dapr.ETag{Value: item.Etag}, nil, options)
		equal(t, status.Code(refused), codes.Aborted)
		equal(t, value(t, client, store, key), "two")
	})
}

func TestTimeToLive(t *testing.T) {
	onEveryStore(t, func(t *testing.T, client dapr.Client, store string) {
		t.Parallel()
		key := unique()
		check(t, client.SaveState(limited(t), store, key, []byte("short"), map[string]string{"ttlInSeconds": "2"}))
		equal(t, value(t, client, store, key), "short")
		if !within(8*time.Second, func() bool { return value(t, client, store, key) == "" }) {
			t.Fatal("it is still there")
		}
	})
}

func TestUnknownStore(t *testing.T) {
	err := httpSide.client.SaveState(limited(t), "nowhere", "k", []byte("v"), nil)
	equal(t, status.Code(err), codes.InvalidArgument)
}

func TestStateOverHTTP(t *testing.T) {
	onEveryStore(t, func(t *testing.T, client dapr.Client, store string) {
		key := unique()
		check(t, client.SaveState(limited(t), store, key, []byte(`{"n":1}`), nil))
		code, body := httpSide.request("GET", "/state/"+store+"/"+key, "")
		equal(t, code, 200)
		equal(t, string(body), `{"n":1}`)
	})
}
