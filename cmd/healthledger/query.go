package main

type queryCmd struct {
	Samples    querySamplesCmd    `cmd:"" help:"Samples of types."`
	Anchored   queryAnchoredCmd   `cmd:"" help:"What was added and deleted since an anchor, once or as it happens."`
	Statistics queryStatisticsCmd `cmd:"" help:"Sum, average, minimum, maximum, count and most recent of a quantity type."`
	Sources    querySourcesCmd    `cmd:"" help:"Who has measured a type, in the order in which statistics merge them."`
	Units      queryUnitsCmd      `cmd:"" help:"The units in which the owner likes to see types."`
	Outcome    queryOutcomeCmd    `cmd:"" help:"What became of a save or a delete."`
}
