package clients

import (
	"encoding/json"
	"strings"
	"testing"

	dapr "github.com/dapr/go-sdk/client"
	"github.com/dapr/go-sdk/service/common"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func onBothSides(t *testing.T, run func(*testing.T, *side)) {
	t.Run("http", func(t *testing.T) { run(t, httpSide) })
	t.Run("grpc", func(t *testing.T) { run(t, grpcSide) })
}

func holds(text string) func(any) bool {
	return func(entry any) bool { return strings.Contains(string(entry.(*common.TopicEvent).RawData), text) }
}

func TestPublish(t *testing.T) {
	onBothSides(t, func(t *testing.T, side *side) {
		for _, broker := range brokers {
			t.Run(broker, func(t *testing.T) {
				text := unique()
				check(t, side.client.PublishEvent(limited(t), broker, "programmed", map[string]string{"text": text}))
				event := side.inbox.wait(t, "programmed", holds(text)).(*common.TopicEvent)
				equal(t, event.PubsubName, broker)
				equal(t, event.Topic, "programmed")
				equal(t, event.Source, side.id)
				equal(t, event.Type, "com.dapr.event.sent")
				equal(t, event.DataContentType, "application/json")
				equal(t, event.Data.(map[string]any)["text"].(string), text)
			})
		}
	})
}

func TestPublishToADeclaredSubscription(t *testing.T) {
	for _, broker := range brokers {
		t.Run(broker, func(t *testing.T) {
			text := unique()
			check(t, httpSide.client.PublishEvent(limited(t), broker, "declared", text, dapr.PublishEventWithContentType("text/plain")))
			body := httpSide.inbox.wait(t, "declared", func(entry any) bool { return strings.Contains(entry.(string), text) })
			var event map[string]any
			check(t, json.Unmarshal([]byte(body.(string)), &event))
			equal(t, event["data"].(string), text)
			equal(t, event["pubsubname"].(string), broker)
		})
	}
}

func TestBulkPublish(t *testing.T) {
	onBothSides(t, func(t *testing.T, side *side) {
		for _, broker := range brokers {
			t.Run(broker, func(t *testing.T) {
				first, second := unique(), unique()
				outcome := side.client.PublishEvents(limited(t), broker, "programmed", []any{first, second})
				check(t, outcome.Error)
				equal(t, len(outcome.FailedEvents), 0)
				for _, text := range []string{first, second} {
					side.inbox.wait(t, "programmed", holds(text))
				}
			})
		}
	})
}

func TestStreamingSubscription(t *testing.T) {
	later(t, "streaming_subscription")
	for _, broker := range brokers {
		t.Run(broker, func(t *testing.T) {
			topic, text := "stream-"+unique(), unique()
			subscription, err := httpSide.client.Subscribe(t.Context(), dapr.SubscriptionOptions{PubsubName: broker, Topic: topic})
			check(t, err)
			defer subscription.Close()
			check(t, httpSide.client.PublishEvent(limited(t), broker, topic, text, dapr.PublishEventWithContentType("text/plain")))
			message, err := subscription.Receive()
			check(t, err)
			equal(t, string(message.RawData), text)
			check(t, message.Success())
		})
	}
}

func TestUnknownBroker(t *testing.T) {
	err := httpSide.client.PublishEvent(limited(t), "nobody", "topic", "x")
	equal(t, status.Code(err), codes.InvalidArgument)
}
