package main

import (
	"cmp"
	"io"
	"log/slog"
	"strings"
)

// logging says how what happens is logged to standard error. It never holds what is stored,
// nor names, tokens or keys; stores stand there by their random ids. The zero value is what
// the flags say by themselves.
type logging struct {
	Format string `name:"log-format" help:"How messages are logged to standard error: text or json." enum:"text,json" default:"text"`
	Level  string `name:"log-level" help:"The least that is logged: debug, info, warn or error; -v is info." enum:"debug,info,warn,error" default:"warn"`
}

func (l logging) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: l.level()}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func (l logging) level() slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(l.Level)) != nil {
		return slog.LevelWarn
	}
	return level
}

// louder is the logging that -v asks for.
func (l logging) louder() logging {
	if l.level() > slog.LevelInfo {
		l.Level = "info"
	}
	return l
}

// args are the flags that say the same to a projector.
func (l logging) args() []string {
	return []string{"--log-format=" + cmp.Or(l.Format, "text"), "--log-level=" + strings.ToLower(l.level().String())}
}
