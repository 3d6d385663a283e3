package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/dapr/go-sdk/service/common"
	daprgrpc "github.com/dapr/go-sdk/service/grpc"
	daprhttp "github.com/dapr/go-sdk/service/http"
	"github.com/go-chi/chi/v5"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func noteEvents(service common.Service, inbox *inbox) {
	for _, broker := range brokers {
		subscription := &common.Subscription{PubsubName: broker, Topic: "programmed", Route: "/programmed/" + broker}
		must(0, service.AddTopicEventHandler(subscription, func(_ context.Context, event *common.TopicEvent) (bool, error) {
			inbox.put("programmed", event)
			return false, nil
		}))
	}
	must(0, service.AddBindingInvocationHandler("cron", func(_ context.Context, event *common.BindingEvent) ([]byte, error) {
		inbox.put("cron", event.Metadata)
		return nil, nil
	}))
	must(0, service.AddServiceInvocationHandler("echo", func(_ context.Context, in *common.InvocationEvent) (*common.Content, error) {
		answer := map[string]string{"method": in.Verb, "body": string(in.Data), "query": in.QueryString, "type": in.ContentType}
		return &common.Content{Data: []byte(asJSON(answer)), ContentType: "application/json"}, nil
	}))
	must(0, service.AddServiceInvocationHandler("fail", func(context.Context, *common.InvocationEvent) (*common.Content, error) {
		return nil, errors.New("refused by the application")
	}))
}

func startHTTPApp(inbox *inbox) (int, func()) {
	port, routes := freePort(), chi.NewRouter()
	// Declared in a file: the application only has to answer the route.
	routes.Post("/declared", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		inbox.put("declared", string(body))
	})
	service := daprhttp.NewServiceWithMux(fmt.Sprintf("127.0.0.1:%d", port), routes)
	noteEvents(service, inbox)
	go func() { _ = service.Start() }()
	return port, func() { _ = service.Stop() }
}

func startGrpcApp(inbox *inbox) (int, func()) {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	server := grpc.NewServer()
	server.RegisterService(&echoService, struct{}{})
	service := daprgrpc.NewServiceWithGrpcServer(listener, server)
	noteEvents(service, inbox)
	go func() { _ = service.Start() }()
	return listener.Addr().(*net.TCPAddr).Port, func() { _ = service.Stop() }
}

// echoService is a service of the application's own, which Dapr knows nothing of.
var echoService = grpc.ServiceDesc{
	ServiceName: "proa.test.Echo",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Say", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		said := new(wrapperspb.StringValue)
		err := decode(said)
		return said, err
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Chat", ServerStreams: true, ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
		for {
			said := new(wrapperspb.StringValue)
			if err := stream.RecvMsg(said); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := stream.SendMsg(said); err != nil {
				return err
			}
		}
	}}},
}
