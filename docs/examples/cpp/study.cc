// Runs one trial in C++: study HOST:PORT
#include <chrono>
#include <iostream>
#include <random>
#include <string>

#include <grpcpp/grpcpp.h>

#include "bo_api/v1/optimization_service.grpc.pb.h"

namespace bo = bo_api::v1;

// For one logical call and all of its retries.
std::string new_request_id() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) id += std::to_string(random()) + "-";
  return id;
}

// The answer to a request. While nobody answers, the same request with the same id is sent again.
template <typename Stub, typename Request, typename Response>
void call(Stub* stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
          const Request& request, Response* response) {
  for (int attempt = 1;; ++attempt) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    const grpc::Status status = (stub->*method)(&context, request, response);
    if (status.ok()) return;
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE || attempt == 5) throw status;
  }
}

int main(int argc, char** argv) try {
  auto channel = grpc::CreateChannel(argc > 1 ? argv[1] : "127.0.0.1:50051", grpc::InsecureChannelCredentials());
  using Service = bo::OptimizationService::Stub;
  auto stub = bo::OptimizationService::NewStub(channel);

  bo::CreateStudyRequest create;
  create.set_study_id("from-cpp");
  auto* spec = create.mutable_study()->mutable_spec();
  auto* lr = spec->mutable_space()->add_parameters();
  lr->set_name("lr");
  lr->mutable_float_parameter()->set_low(1e-5);
  lr->mutable_float_parameter()->set_high(0.1);
  lr->mutable_float_parameter()->set_scale(bo::SCALE_LOG);
  auto* loss = spec->add_metrics();
  loss->set_name("loss");
  loss->set_goal(bo::GOAL_MINIMIZE);
  bo::CreateStudyResponse created;
  call(stub.get(), &Service::CreateStudy, create, &created);

  bo::SuggestTrialsRequest suggest;
  suggest.set_parent(created.study().name());
  suggest.set_worker_id("cpp");
  suggest.set_request_id(new_request_id());
  bo::SuggestTrialsResponse suggested;
  call(stub.get(), &Service::SuggestTrials, suggest, &suggested);
  if (suggested.trials().empty()) return 0;  // `shortfall` says why
  const bo::Trial& trial = suggested.trials(0);
  const double value = trial.parameters().at("lr").float_value();

  for (int epoch = 0; epoch < 3; ++epoch) {
    bo::ReportMeasurementsRequest report;
    report.set_name(trial.name());
    report.set_lease_token(trial.lease().token());
    auto* measurement = report.add_measurements();
    measurement->set_step(epoch);
    (*measurement->mutable_metrics())["loss"] = value + 1.0 / (epoch + 1);
    bo::ReportMeasurementsResponse heard;
    call(stub.get(), &Service::ReportMeasurements, report, &heard);
    if (heard.should_stop()) break;
  }

  bo::CompleteTrialRequest complete;
  complete.set_name(trial.name());
  complete.set_lease_token(trial.lease().token());
  complete.set_request_id(new_request_id());
  (*complete.mutable_final_measurement()->mutable_metrics())["loss"] = value;
  bo::CompleteTrialResponse completed;
  call(stub.get(), &Service::CompleteTrial, complete, &completed);
  std::cout << bo::TrialState_Name(completed.trial().state()) << " lr=" << value << "\n";
} catch (const grpc::Status& status) {
  std::cerr << status.error_code() << ": " << status.error_message() << "\n";  // it names the field at fault
  return 1;
}
