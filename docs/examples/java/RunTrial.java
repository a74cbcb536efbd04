// Runs one trial in Java: java RunTrial HOST:PORT
import bo_api.v1.*;
import bo_api.v1.OptimizationServiceGrpc.OptimizationServiceBlockingStub;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

public class RunTrial {
  private final OptimizationServiceBlockingStub stub;

  RunTrial(ManagedChannel channel) {
    stub = OptimizationServiceGrpc.newBlockingStub(channel);
  }

  public static void main(String[] arguments) {
    String address = arguments.length > 0 ? arguments[0] : "127.0.0.1:50051";
    ManagedChannel channel = ManagedChannelBuilder.forTarget(address).usePlaintext().build();
    try {
      new RunTrial(channel).run();
    } finally {
      channel.shutdownNow();
    }
  }

  /** While nobody answers, the same request with the same id is sent again. */
  <T> T call(Function<OptimizationServiceBlockingStub, T> attempt) {
    for (int tries = 1; ; tries++) {
      try {
        return attempt.apply(stub.withDeadlineAfter(30, TimeUnit.SECONDS).withWaitForReady());
      } catch (StatusRuntimeException error) {
        if (error.getStatus().getCode() != Status.Code.UNAVAILABLE || tries == 5) throw error;
      }
    }
  }

  void run() {
    FloatParameter bounds = FloatParameter.newBuilder().setLow(1e-5).setHigh(0.1).setScale(Scale.SCALE_LOG).build();
    StudySpec spec = StudySpec.newBuilder()
        .setSpace(SearchSpace.newBuilder().addParameters(
            Parameter.newBuilder().setName("lr").setFloatParameter(bounds)))
        .addMetrics(Metric.newBuilder().setName("loss").setGoal(Goal.GOAL_MINIMIZE))
        .build();
    CreateStudyRequest create = CreateStudyRequest.newBuilder().setStudyId("from-java")
        .setStudy(Study.newBuilder().setSpec(spec)).build();
    call(service -> service.createStudy(create));

    SuggestTrialsRequest suggest = SuggestTrialsRequest.newBuilder().setParent("studies/from-java")
        .setWorkerId("java").setRequestId(UUID.randomUUID().toString()).build();
    Trial trial = call(service -> service.suggestTrials(suggest)).getTrials(0);
    double value = trial.getParametersOrThrow("lr").getFloatValue();

    for (int epoch = 0; epoch < 3; epoch++) {
      ReportMeasurementsRequest report = ReportMeasurementsRequest.newBuilder()
          .setName(trial.getName()).setLeaseToken(trial.getLease().getToken())
          .addMeasurements(Measurement.newBuilder().setStep(epoch).putMetrics("loss", value + 1.0 / (epoch + 1)))
          .build();
      if (call(service -> service.reportMeasurements(report)).getShouldStop()) break;
    }

    CompleteTrialRequest complete = CompleteTrialRequest.newBuilder()
        .setName(trial.getName()).setLeaseToken(trial.getLease().getToken())
        .setFinalMeasurement(Measurement.newBuilder().putMetrics("loss", value))
        .setRequestId(UUID.randomUUID().toString()).build();
    System.out.println(call(service -> service.completeTrial(complete)).getTrial().getState() + " lr=" + value);
  }
}
