package clients;

import io.grpc.BindableService;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.MethodDescriptor;
import io.grpc.ServerServiceDefinition;
import io.grpc.stub.AbstractStub;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/** A gRPC service of the application's own, which Dapr knows nothing of: gives back what it gets. */
final class Echo implements BindableService {
  static final MethodDescriptor<String, String> SAY = method("Say", MethodDescriptor.MethodType.UNARY);
  static final MethodDescriptor<String, String> CHAT = method("Chat", MethodDescriptor.MethodType.BIDI_STREAMING);

  private static MethodDescriptor<String, String> method(String name, MethodDescriptor.MethodType type) {
    return MethodDescriptor.newBuilder(new Text(), new Text()).setType(type).setFullMethodName("proa.test.Echo/" + name).build();
  }

  @Override
  public ServerServiceDefinition bindService() {
    return ServerServiceDefinition.builder("proa.test.Echo")
        .addMethod(SAY, ServerCalls.asyncUnaryCall((said, answer) -> {
          answer.onNext(said);
          answer.onCompleted();
        }))
        .addMethod(CHAT, ServerCalls.asyncBidiStreamingCall(Echo::back))
        .build();
  }

  private static StreamObserver<String> back(StreamObserver<String> answers) {
    return new StreamObserver<>() {
      @Override
      public void onNext(String said) {
        answers.onNext(said);
      }

      @Override
      public void onError(Throwable failure) {
        answers.onError(failure);
      }

      @Override
      public void onCompleted() {
        answers.onCompleted();
      }
    };
  }

  /** A stub as the SDK makes them. */
  static final class Stub extends AbstractStub<Stub> {
    Stub(Channel channel) {
      this(channel, CallOptions.DEFAULT);
    }

    private Stub(Channel channel, CallOptions options) {
      super(channel, options);
    }

    @Override
    protected Stub build(Channel channel, CallOptions options) {
      return new Stub(channel, options);
    }
  }

  private static final class Text implements MethodDescriptor.Marshaller<String> {
    @Override
    public InputStream stream(String value) {
      return new ByteArrayInputStream(value.getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public String parse(InputStream stream) {
      try {
        return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
      } catch (IOException failure) {
        throw new UncheckedIOException(failure);
      }
    }
  }
}
