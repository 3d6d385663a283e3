package clients

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"
)

var (
	stores  = []string{"memory", "sqlite", "redis"}
	brokers = []string{"pubsub-memory", "pubsub-redis"}
	// The two applications of the run, each with its sidecar.
	httpSide, grpcSide *side
)

const secrets = `{"colour": "blue", "database": {"password": "open sesame"}}`

func TestMain(m *testing.M) {
	status := 1
	func() {
		httpSide = startSide("http", startHTTPApp)
		defer httpSide.close()
		grpcSide = startSide("grpc", startGrpcApp)
		defer grpcSide.close()
		status = m.Run()
	}()
	os.Exit(status)
}

// side is an application made with the SDK, what it received, and its sidecar.
type side struct {
	id, home, url string
	inbox         *inbox
	client        dapr.Client
	process       *exec.Cmd
	stop          func()
}

func startSide(protocol string, start func(*inbox) (int, func())) *side {
	s := &side{id: fmt.Sprintf("go-%s-%s", protocol, os.Getenv("PROA_CLIENT_RUN")), inbox: &inbox{entries: map[string][]any{}}}
	appPort, stop := start(s.inbox)
	s.stop = stop
	s.home = must(os.MkdirTemp("", "proa-client-"))
	webURL := fmt.Sprintf("http://127.0.0.1:%d/echo", appPort)
	if httpSide != nil {
		webURL = httpSide.inbox.web
	}
	s.inbox.web = webURL
	s.writeResources(webURL)
	httpPort, grpcPort := freePort(), freePort()
	s.url = fmt.Sprintf("http://127.0.0.1:%d/v1.0", httpPort)
	s.process = exec.Command(os.Getenv("PROA_BIN"),
		"--app-id", s.id, "--app-port", fmt.Sprint(appPort), "--app-protocol", protocol,
		"--dapr-http-port", fmt.Sprint(httpPort), "--dapr-grpc-port", fmt.Sprint(grpcPort),
		"--dapr-internal-grpc-port", fmt.Sprint(freePort()), "--metrics-port", fmt.Sprint(freePort()),
		"--dapr-listen-addresses", "127.0.0.1", "--resources-path", filepath.Join(s.home, "resources"))
	s.process.Dir = s.home
	s.process.Env = append(os.Environ(), "PROA_CLIENT_SECRET=from the environment")
	log := must(os.Create(filepath.Join(s.home, "sidecar.log")))
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		panic(err)
	}
	if !within(60*time.Second, func() bool { status, _ := s.request("GET", "/healthz", ""); return status == 204 }) {
		text, _ := os.ReadFile(log.Name())
		s.close()
		panic(fmt.Sprintf("%s did not become healthy:\n%s", s.id, text))
	}
	s.client = must(dapr.NewClientWithPort(fmt.Sprint(grpcPort)))
	return s
}

func (s *side) writeResources(webURL string) {
	for _, folder := range []string{"files", "resources"} {
		must(0, os.Mkdir(filepath.Join(s.home, folder), 0o755))
	}
	must(0, os.WriteFile(filepath.Join(s.home, "secrets.json"), []byte(secrets), 0o600))
	values := map[string]string{
		"DIR": s.home, "REDIS_HOST": os.Getenv("PROA_CLIENT_REDIS"), "WEB_URL": webURL, "HTTP_APP": "go-http-" + os.Getenv("PROA_CLIENT_RUN"),
	}
	for _, source := range must(filepath.Glob("../resources/*.yaml")) {
		text := os.Expand(string(must(os.ReadFile(source))), func(name string) string { return values[name] })
		must(0, os.WriteFile(filepath.Join(s.home, "resources", filepath.Base(source)), []byte(text), 0o644))
	}
}

func (s *side) close() {
	if s.client != nil {
		s.client.Close()
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	s.stop()
	_ = os.RemoveAll(s.home)
}

// request is plain HTTP to the sidecar: status and body; no status without an answer.
func (s *side) request(method, path, body string) (int, []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	request := must(http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body)))
	request.Header.Set("content-type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, text
}

// inbox holds what an application received, by place.
type inbox struct {
	lock    sync.Mutex
	entries map[string][]any
	web     string
}

func (i *inbox) put(place string, entry any) {
	i.lock.Lock()
	defer i.lock.Unlock()
	i.entries[place] = append(i.entries[place], entry)
}

func (i *inbox) wait(t *testing.T, place string, fits func(any) bool) any {
	t.Helper()
	var found any
	look := func() bool {
		i.lock.Lock()
		defer i.lock.Unlock()
		for _, entry := range i.entries[place] {
			if fits == nil || fits(entry) {
				found = entry
				return true
			}
		}
		return false
	}
	if !within(15*time.Second, look) {
		t.Fatalf("nothing fitting arrived at %s: %v", place, i.entries[place])
	}
	return found
}

func within(limit time.Duration, look func() bool) bool {
	for end := time.Now().Add(limit); !look(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

func freePort() int {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// later leaves out cases of what comes later, which PROA_CLIENT_LATER names.
func later(t *testing.T, what string) {
	t.Helper()
	for _, one := range strings.Fields(os.Getenv("PROA_CLIENT_LATER")) {
		if one == what {
			t.Skip(what)
		}
	}
}

// unique is a fresh key or text.
func unique() string { return "k" + strings.ToLower(rand.Text()) }

func asJSON(value any) string { return string(must(json.Marshal(value))) }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
