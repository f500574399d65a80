package natsserver

import "testing"

// Crash tests kill processes and leave the page cache, so none of them would notice a
// server that acknowledges before the fsync; only a power cut would.
func TestServerSyncsEveryPublish(t *testing.T) {
	s, err := Start(Options{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	if config := s.nats.JetStreamConfig(); config == nil || !config.SyncAlways {
		t.Fatalf("JetStream runs with %+v", config)
	}
}
