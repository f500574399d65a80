package main

import (
	"os"
	"strings"
)

// localZoneName finds the IANA name behind time.Local, which does not say it: TZ,
// else what /etc/localtime points to. Empty stands for UTC.
func localZoneName() string {
	if tz := strings.TrimPrefix(os.Getenv("TZ"), ":"); tz != "" {
		return tz
	}
	target, err := os.Readlink("/etc/localtime")
	if err != nil {
		return ""
	}
	_, name, _ := strings.Cut(target, "zoneinfo/")
	return strings.TrimPrefix(name, "UTC")
}
