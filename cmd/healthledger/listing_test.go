package main

import (
	"bytes"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestListingIsForPeopleOrForPrograms(t *testing.T) {
	var out bytes.Buffer
	g := &globals{out: &out}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := timestamppb.New(time.Date(2024, 5, 1, 10, 0, 0, 5000, time.UTC))
	third, none := 1.0/3, (*float64)(nil)
	for _, asCSV := range []bool{false, true} {
		l := g.newListing(asCSV, "from", "most recent", "lasted", "source")
		for _, row := range [][]cell{
			{asMoment(at, berlin), asFigure(&third), asSeconds(5400.4), asText("Anna's \"Watch\"\x1b[31m,\n\u202e\u00a0\u2028")},
			{asMinute(nil, berlin), asFigure(none), asSeconds(0), asText("")},
		} {
			if err := l.row(row...); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.flush(); err != nil {
			t.Fatal(err)
		}
	}
	want := "FROM                              MOST RECENT  LASTED   SOURCE\n" +
		"2024-05-01 12:00:00.000005 +0200  0.333333     1h30m0s  Anna's \"Watch\"\uFFFD[31m,\uFFFD\uFFFD\u00a0\uFFFD\n" +
		"-                                 -            -        -\n" +
		"from,most_recent,lasted,source\n" +
		"2024-05-01T12:00:00.000005+02:00,0.3333333333333333,5400.4,\"Anna's \"\"Watch\"\"\x1b[31m,\n\u202e\u00a0\u2028\"\n" +
		",,,\n"
	if out.String() != want {
		t.Errorf("%s\nnot\n%s", out.String(), want)
	}
}
