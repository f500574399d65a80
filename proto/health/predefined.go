package health

import (
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// checkPredefined holds an app to what HealthKit's own metadata keys may hold, and to
// both or neither of the sync keys (spec sections 3.4 and 3.5). An importer brings text
// forms of them; it is not asked. The entries were checked otherwise.
func checkPredefined(t *catalog.Type, entries []*pb.MetadataEntry) *FieldError {
	syncs := 0
	for _, e := range entries {
		k, ok := catalog.LookupMetadata(e.Key)
		if !ok {
			continue
		}
		if k.Name == syncIdentifier || k.Name == syncVersion {
			syncs++
		}
		if why := misfit(t, k, e); why != "" {
			return refuse("metadata["+shorten(e.Key)+"]", shown(e), why)
		}
	}
	if syncs == 0 {
		return nil
	}
	for _, name := range []string{syncIdentifier, syncVersion} {
		if find(entries, name) == nil {
			return refuse("metadata[HKMetadataKey"+name+"]", "", "missing; identifier and version go together")
		}
	}
	if syncs > 2 {
		return refuse("metadata[HKMetadataKey"+syncIdentifier+"]", "", "identifier or version is there twice")
	}
	return nil
}

// misfit says why an entry does not hold what its key holds; empty: it does.
func misfit(t *catalog.Type, k *catalog.MetadataKey, e *pb.MetadataEntry) string {
	number, isNumber := e.Value.(*pb.MetadataEntry_Number)
	switch k.Type {
	case catalog.Text:
		if _, ok := e.Value.(*pb.MetadataEntry_Text); !ok {
			return "not a text"
		}
		if k.Name == syncIdentifier && e.GetText() == "" {
			return "it is empty"
		}
	case catalog.Number:
		if k.Name == syncVersion {
			if _, ok := whole(e); !ok {
				return "not a whole number"
			}
		} else if !isNumber {
			return "not a number"
		}
	case catalog.Boolean:
		if !isNumber || number.Number != 0 && number.Number != 1 {
			return "not 0 or 1"
		}
	case catalog.Enum:
		if !isNumber || number.Number != float64(int(number.Number)) {
			return "not a whole number"
		}
		if _, ok := k.Label(int(number.Number)); !ok {
			return "not one of the values of " + k.Name
		}
	case catalog.Date:
		if _, ok := e.Value.(*pb.MetadataEntry_Date); !ok {
			return "not a date"
		}
	case catalog.Measure:
		return unmeasured(t, k, e)
	}
	return ""
}

func unmeasured(t *catalog.Type, k *catalog.MetadataKey, e *pb.MetadataEntry) string {
	q, ok := e.Value.(*pb.MetadataEntry_Quantity)
	if !ok {
		return "not a quantity"
	}
	like := k.Unit
	if like == "" {
		like = t.Unit
	}
	if like == "" {
		return ""
	}
	if err := compatible("", q.Quantity.Unit, like); err != nil {
		return "the unit is not compatible with " + like
	}
	return ""
}

// shown is what an error repeats of an entry.
func shown(e *pb.MetadataEntry) string {
	switch v := e.Value.(type) {
	case *pb.MetadataEntry_Text:
		return v.Text
	case *pb.MetadataEntry_Number:
		return decimal(v.Number)
	case *pb.MetadataEntry_Date:
		return showTimestamp(v.Date)
	case *pb.MetadataEntry_Quantity:
		return decimal(v.Quantity.Value) + " " + v.Quantity.Unit
	}
	return ""
}
