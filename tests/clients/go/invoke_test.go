package clients

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// pairs are a caller and a callee, with one sidecar each.
func pairs(t *testing.T, run func(t *testing.T, caller, callee *side)) {
	t.Run("HTTP app", func(t *testing.T) { run(t, grpcSide, httpSide) })
	t.Run("gRPC app", func(t *testing.T) { run(t, httpSide, grpcSide) })
}

func TestInvoke(t *testing.T) {
	pairs(t, func(t *testing.T, caller, callee *side) {
		content := &dapr.DataContent{Data: []byte("ping"), ContentType: "text/plain"}
		answer, err := caller.client.InvokeMethodWithContent(limited(t), callee.id, "echo?a=b", "put", content)
		check(t, err)
		var said map[string]string
		check(t, json.Unmarshal(answer, &said))
		equal(t, fmt.Sprint(said["method"], said["body"], said["query"]), "PUTpinga=b")
		equal(t, strings.HasPrefix(said["type"], "text/plain"), true)
	})
}

func TestInvokeOverHTTP(t *testing.T) {
	pairs(t, func(t *testing.T, caller, callee *side) {
		code, body := caller.request("POST", "/invoke/"+callee.id+"/method/echo?a=b", `"ping"`)
		equal(t, code, 200)
		var said map[string]string
		check(t, json.Unmarshal(body, &said))
		equal(t, fmt.Sprint(said["method"], said["body"], said["query"]), `POST"ping"a=b`)
	})
}

func TestInvokeLarge(t *testing.T) {
	pairs(t, func(t *testing.T, caller, callee *side) {
		large := strings.Repeat("x", 1<<20)
		answer, err := caller.client.InvokeMethodWithContent(limited(t), callee.id, "echo", "post", &dapr.DataContent{Data: []byte(large), ContentType: "text/plain"})
		check(t, err)
		equal(t, strings.Contains(string(answer), large), true)
	})
}

func TestInvokeFails(t *testing.T) {
	pairs(t, func(t *testing.T, caller, callee *side) {
		_, err := caller.client.InvokeMethod(limited(t), callee.id, "fail", "post")
		equal(t, status.Code(err), codes.Unknown)
		_, err = caller.client.InvokeMethod(limited(t), callee.id, "nothing", "post")
		if err == nil {
			t.Fatal("a method that is none")
		}
	})
}

func TestInvokeNobody(t *testing.T) {
	_, err := httpSide.client.InvokeMethod(limited(t), "nobody", "echo", "get")
	if err == nil {
		t.Fatal("an application that is none")
	}
	code, body := httpSide.request("GET", "/invoke/nobody/method/echo", "")
	equal(t, code, 500)
	equal(t, strings.Contains(string(body), "ERR_DIRECT_INVOKE"), true)
}

func TestProxied(t *testing.T) {
	later(t, "proxied")
	connection := httpSide.client.GrpcClientConn()
	ctx := metadata.AppendToOutgoingContext(limited(t), "dapr-app-id", grpcSide.id)
	t.Run("call", func(t *testing.T) {
		answer := new(wrapperspb.StringValue)
		check(t, connection.Invoke(ctx, "/proa.test.Echo/Say", wrapperspb.String("ping"), answer))
		equal(t, answer.Value, "ping")
	})
	t.Run("stream", func(t *testing.T) {
		stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/proa.test.Echo/Chat")
		check(t, err)
		for i := range 20 {
			answer := new(wrapperspb.StringValue)
			check(t, stream.SendMsg(wrapperspb.String(fmt.Sprint(i))))
			check(t, stream.RecvMsg(answer))
			equal(t, answer.Value, fmt.Sprint(i))
		}
		check(t, stream.CloseSend())
		equal(t, stream.RecvMsg(new(wrapperspb.StringValue)), io.EOF)
	})
}
