// Command weigh saves a weight and prints all that it may read. Its run is in README.md.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, file string) error {
	credentials, err := client.ReadCredentials(file)
	if err != nil {
		return err
	}
	c, err := client.Dial(ctx, credentials)
	if err != nil {
		return err
	}
	defer c.Close()
	at := timestamppb.New(time.Date(2025, 6, 4, 7, 0, 0, 0, time.UTC))
	saved, err := c.Save(ctx, &pb.SaveRequest{Samples: []*pb.Sample{
		{Type: "bodyMass", Start: at, End: at, Value: proto.Float64(71.4), Unit: "kg"},
	}})
	if err != nil {
		return err
	}
	// With the receipt, the query waits until it can see what was saved.
	query := &pb.QuerySamplesRequest{Types: []string{"bodyMass"}, Receipt: saved.GetReceipt()}
	for sample, err := range c.QuerySamples(ctx, query) {
		if err != nil {
			return err
		}
		fmt.Println(sample.GetEnd().AsTime(), sample.GetValue(), sample.GetUnit())
	}
	return nil
}
