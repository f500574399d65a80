package main

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// What was erased by policy is told in a few words, of however many types.
func TestTypesErasedByPolicyAreCounted(t *testing.T) {
	ended := func(code uint32, year int) *pb.DeletedSamples {
		return &pb.DeletedSamples{Type: code, EndedBefore: proto.Int64(time.Date(year, 5, 1, 0, 0, 0, 0, time.UTC).UnixMicro())}
	}
	at := func(year int) string {
		return time.Date(year, 5, 1, 0, 0, 0, 0, time.UTC).In(time.Local).Format(time.RFC3339)
	}
	for want, order := range map[string]*pb.ErasureOrdered{
		"2 types ended before " + at(2020) + ", basalEnergyBurned ended before " + at(2021) + " (by policy)": {
			ByPolicy: 1, Deletions: []*pb.DeletedSamples{ended(1, 2020), ended(10, 2021), ended(2, 2020)},
		},
		"all types, 1 sample by its UUID of app 7": {
			Deletions: []*pb.DeletedSamples{{AllTypes: true}, {AllTypes: true, App: 7, Uuids: [][]byte{make([]byte, 16)}}},
		},
	} {
		if got := orderText(order); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
