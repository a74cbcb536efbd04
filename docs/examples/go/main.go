// Runs one trial in Go: study HOST:PORT
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	bo "example.com/bo/bo_api/v1"
)

// For one logical call and all of its retries.
func newRequestID() string {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		log.Fatal(err)
	}
	return fmt.Sprintf("%x", id)
}

// Ends the program on a refusal, naming each field at fault. While nobody answers, the same request is sent again.
func call(attempt func(context.Context) error) {
	for tries := 1; ; tries++ {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		err := attempt(ctx)
		cancel()
		if err == nil {
			return
		}
		if status.Code(err) == codes.Unavailable && tries < 5 {
			time.Sleep(time.Duration(tries) * 200 * time.Millisecond)
			continue
		}
		for _, detail := range status.Convert(err).Details() {
			if bad, ok := detail.(*errdetails.BadRequest); ok {
				for _, violation := range bad.FieldViolations {
					log.Println(violation.Field, violation.Description)
				}
			}
		}
		log.Fatal(err)
	}
}

func main() {
	address := "127.0.0.1:50051"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	connection, err := grpc.Dial(address, grpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	service := bo.NewOptimizationServiceClient(connection)

	lr := &bo.FloatParameter{Low: 1e-5, High: 0.1, Scale: bo.Scale_SCALE_LOG}
	spec := &bo.StudySpec{
		Space: &bo.SearchSpace{Parameters: []*bo.Parameter{
			{Name: "lr", Kind: &bo.Parameter_FloatParameter{FloatParameter: lr}},
		}},
		Metrics: []*bo.Metric{{Name: "loss", Goal: bo.Goal_GOAL_MINIMIZE}},
	}
	create := &bo.CreateStudyRequest{StudyId: "from-go", Study: &bo.Study{Spec: spec}}
	call(func(ctx context.Context) error { _, err := service.CreateStudy(ctx, create); return err })

	suggest := &bo.SuggestTrialsRequest{Parent: "studies/from-go", WorkerId: "go", RequestId: newRequestID()}
	var suggested *bo.SuggestTrialsResponse
	call(func(ctx context.Context) (err error) { suggested, err = service.SuggestTrials(ctx, suggest); return err })
	if len(suggested.Trials) == 0 {
		log.Fatal(suggested.Shortfall)
	}
	trial := suggested.Trials[0]
	value := trial.Parameters["lr"].GetFloatValue()

	for epoch := int64(0); epoch < 3; epoch++ {
		loss := map[string]float64{"loss": value + 1/float64(epoch+1)}
		report := &bo.ReportMeasurementsRequest{
			Name:         trial.Name,
			LeaseToken:   trial.Lease.Token,
			Measurements: []*bo.Measurement{{Step: epoch, Metrics: loss}},
		}
		var heard *bo.ReportMeasurementsResponse
		call(func(ctx context.Context) (err error) { heard, err = service.ReportMeasurements(ctx, report); return err })
		if heard.ShouldStop {
			break
		}
	}

	final := &bo.Measurement{Metrics: map[string]float64{"loss": value}}
	complete := &bo.CompleteTrialRequest{
		Name:       trial.Name,
		LeaseToken: trial.Lease.Token,
		Outcome:    &bo.CompleteTrialRequest_FinalMeasurement{FinalMeasurement: final},
		RequestId:  newRequestID(),
	}
	var completed *bo.CompleteTrialResponse
	call(func(ctx context.Context) (err error) { completed, err = service.CompleteTrial(ctx, complete); return err })
	fmt.Println(completed.Trial.State, "lr =", value)
}
