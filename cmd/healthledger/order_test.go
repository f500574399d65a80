package main

import (
	"slices"
	"strings"
	"testing"

	pb "healthledger/proto/healthledger/v1"
)

func TestSourcesAreNamedAsShortlyAsTheyDiffer(t *testing.T) {
	all := []*pb.SourceName{
		{App: "com.example.watch", Name: "Anna"}, {App: "com.example.phone", Name: "Anna"}, {App: "com.example.phone", Name: "Bert"}, {App: "com.example.scale"},
	}
	for meant, want := range map[string]string{
		"Bert": "com.example.phone/Bert", "com.example.watch": "com.example.watch/Anna", "com.example.phone/Anna": "com.example.phone/Anna",
		"com.example.scale": "com.example.scale/",
		// Neither is enough.
		"Anna": "", "com.example.phone": "", "Carl": "", "com.example.watch/Bert": "", "": "",
	} {
		found, err := named([]string{meant}, all)
		if (err == nil) != (want != "") || err == nil && found[0].App+"/"+found[0].Name != want {
			t.Errorf("%q: %v, %v", meant, found, err)
		}
	}
	found, err := named([]string{"Bert", "com.example.watch"}, all)
	if err != nil || !slices.Equal(found, []*pb.SourceName{all[2], all[0]}) {
		t.Error(found, err)
	}
	if _, err := named([]string{"Anna"}, all); err == nil || !strings.Contains(err.Error(), `"com.example.watch/Anna"`) {
		t.Error(err)
	}
}
