// Package backup writes and reads what a store consists of, in two files that belong in
// different places: the log, which is sealed, and the key directory, without which the log is
// noise to whoever has it.
//
//	log, err := backup.OpenLog(path, store, nil)  // makes it, or verifies what is there
//	err = log.Append(payload)                     // the segments that are new
//	err = log.Gone(last, decisions)               // or those that the owner has accepted to be gone
//	err = log.Commit(checkpoint)                  // signed by the daemon, for exactly these
//	err = backup.WriteKeys(path, keys)            // replaced whole; the one before is overwritten
//
// A Check verifies segments, wherever they come from, against the key directory, before a
// store is made of them. Byte formats are described in FORMAT.md.
package backup
