package natsserver

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
)

// journal passes the server's log on to slog. Lines about a client carry what the
// client chose (its name, its user name, subjects); of those only the kind of
// event is kept. Tracing, which would print payloads, is never switched on.
type journal struct {
	log *slog.Logger
	// broke is called when a stream stops taking writes.
	broke func()

	mu    sync.Mutex
	fatal string
}

// clientEvents are the events worth knowing, in the server's words.
var clientEvents = []string{
	"authentication error",
	"Permissions Violation",
	"Authentication Timeout",
	"Publish Violation",
	"Subscription Violation",
	"Slow Consumer",
	"maximum payload exceeded",
	"maximum subscriptions exceeded",
	"Stale Client Connection",
	"Client parser ERROR",
	"Readloop processing time",
}

// secretive matches what may be a key, a store or a token.
var secretive = regexp.MustCompile(`[0-9A-Za-z+/_-]{22,}`)

// line is what of a log line may be kept.
func line(text string) string {
	if strings.Contains(text, "id:") && strings.Contains(text, " - ") {
		for _, event := range clientEvents {
			if strings.Contains(text, event) {
				return "client: " + event
			}
		}
		return "client event"
	}
	for _, event := range clientEvents {
		if strings.Contains(text, event) {
			return "client: " + event
		}
	}
	return secretive.ReplaceAllString(text, "…")
}

func (j *journal) print(level slog.Level, format string, args []any) {
	if j.log.Enabled(context.Background(), level) {
		j.log.Log(context.Background(), level, line(fmt.Sprintf(format, args...)))
	}
}

// Noticef implements server.Logger. What nats-server notices at every start is
// detail to us.
func (j *journal) Noticef(format string, v ...any) { j.print(slog.LevelDebug, format, v) }

// Warnf implements server.Logger.
func (j *journal) Warnf(format string, v ...any) { j.print(slog.LevelWarn, format, v) }

// Errorf implements server.Logger. That a stream refuses writes from now on is told here
// and to nobody else.
func (j *journal) Errorf(format string, v ...any) {
	j.print(slog.LevelError, format, v)
	if strings.HasSuffix(format, " critical write error: %v") {
		j.broke()
	}
}

// Fatalf implements server.Logger. The server calls it where its own program
// would exit; Start turns it into an error.
func (j *journal) Fatalf(format string, v ...any) {
	j.mu.Lock()
	if j.fatal == "" {
		j.fatal = line(fmt.Sprintf(format, v...))
	}
	j.mu.Unlock()
	j.print(slog.LevelError, format, v)
}

// Debugf implements server.Logger.
func (j *journal) Debugf(string, ...any) {}

// Tracef implements server.Logger.
func (j *journal) Tracef(string, ...any) {}

// failure is the first fatal line, or empty.
func (j *journal) failure() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.fatal
}
