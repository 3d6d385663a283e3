package clients

import (
	"encoding/json"
	"testing"

	dapr "github.com/dapr/go-sdk/client"
)

func bind(t *testing.T, name, operation, data string, metadata map[string]string) (*dapr.BindingEvent, error) {
	return httpSide.client.InvokeBinding(limited(t), &dapr.InvokeBindingRequest{Name: name, Operation: operation, Data: []byte(data), Metadata: metadata})
}

func TestFilesBinding(t *testing.T) {
	file := map[string]string{"fileName": unique()}
	_, err := bind(t, "files", "create", "a note", file)
	check(t, err)
	note, err := bind(t, "files", "get", "", file)
	check(t, err)
	equal(t, string(note.Data), "a note")
	_, err = bind(t, "files", "delete", "", file)
	check(t, err)
	if _, err = bind(t, "files", "get", "", file); err == nil {
		t.Fatal("it is still there")
	}
}

func TestRedisBinding(t *testing.T) {
	key := map[string]string{"key": unique()}
	_, err := bind(t, "redis-keys", "create", "kept", key)
	check(t, err)
	kept, err := bind(t, "redis-keys", "get", "", key)
	check(t, err)
	equal(t, string(kept.Data), "kept")
}

func TestWebBinding(t *testing.T) {
	answer, err := bind(t, "web", "post", "hello", nil)
	check(t, err)
	var said map[string]string
	check(t, json.Unmarshal(answer.Data, &said))
	equal(t, said["method"]+" "+said["body"], "POST hello")
	equal(t, answer.Metadata["statusCode"], "200")
}

func TestCronReachesTheApp(t *testing.T) {
	onBothSides(t, func(t *testing.T, side *side) { side.inbox.wait(t, "cron", nil) })
}

func TestSecrets(t *testing.T) {
	found, err := httpSide.client.GetSecret(limited(t), "secrets-file", "database:password", nil)
	check(t, err)
	equal(t, found["database:password"], "open sesame")
	found, err = httpSide.client.GetSecret(limited(t), "secrets-env", "PROA_CLIENT_SECRET", nil)
	check(t, err)
	equal(t, found["PROA_CLIENT_SECRET"], "from the environment")
	all, err := httpSide.client.GetBulkSecret(limited(t), "secrets-file", nil)
	check(t, err)
	equal(t, all["colour"]["colour"], "blue")
	if _, err = httpSide.client.GetSecret(limited(t), "nothing", "colour", nil); err == nil {
		t.Fatal("a store that is none")
	}
}

func TestMetadata(t *testing.T) {
	onBothSides(t, func(t *testing.T, side *side) {
		key := unique()
		check(t, side.client.SetMetadata(limited(t), key, "a value"))
		found, err := side.client.GetMetadata(limited(t))
		check(t, err)
		equal(t, found.ID, side.id)
		equal(t, found.ExtendedMetadata[key], "a value")
		types, topics := map[string]string{}, map[string]bool{}
		for _, component := range found.RegisteredComponents {
			types[component.Name] = component.Type
		}
		for _, subscription := range found.Subscriptions {
			topics[subscription.PubsubName+" "+subscription.Topic] = true
		}
		equal(t, types["redis"], "state.redis")
		equal(t, topics["pubsub-memory programmed"] && topics["pubsub-redis programmed"], true)
	})
}
