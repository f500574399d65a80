package health

import (
	"cmp"
	"strconv"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

func normalStateOfMind(m *pb.StateOfMind) *FieldError {
	if !(m.Valence >= -1 && m.Valence <= 1) {
		return refuse("valence", decimal(m.Valence), "not within -1 and 1")
	}
	return cmp.Or(
		needWord("kind", "stateOfMindKind", &m.Kind),
		words("labels", "stateOfMindLabel", m.Labels),
		words("associations", "stateOfMindAssociation", m.Associations),
	)
}

// questionnaire is a scored assessment: how it is answered and what its score means.
type questionnaire struct {
	questions int
	// mayDecline is the last question, if it may be left without an answer.
	mayDecline bool
	risks      string
	// bands are the highest scores of each risk, in the order of the vocabulary's numbers.
	bands []uint32
}

// The bands are those of the questionnaires' authors: Spitzer et al. 2006 for GAD-7,
// Kroenke et al. 2001 for PHQ-9.
var questionnaires = map[string]questionnaire{
	"gad7": {questions: 7, risks: "gad7Risk", bands: []uint32{4, 9, 14, 21}},
	"phq9": {questions: 9, mayDecline: true, risks: "phq9Risk", bands: []uint32{4, 9, 14, 19, 27}},
}

const declined = "preferNotToAnswer"

// assessment checks a scored assessment. Score and risk follow from the answers; they
// are filled in where they are missing.
func (s subject) assessment(a *pb.ScoredAssessment) *FieldError {
	q := questionnaires[s.typ.Short()]
	if len(a.Answers) != q.questions {
		return refuse("answers", strconv.Itoa(len(a.Answers)), "a "+s.typ.Short()+" has "+strconv.Itoa(q.questions)+" answers")
	}
	score := uint32(0)
	for i := range a.Answers {
		field := "answers[" + strconv.Itoa(i) + "]"
		if err := needWord(field, "assessmentAnswer", &a.Answers[i]); err != nil {
			return err
		}
		if a.Answers[i] == declined {
			if !q.mayDecline || i != q.questions-1 {
				return refuse(field, declined, "this question needs an answer")
			}
			continue
		}
		n, _ := catalog.Words("assessmentAnswer").Value(a.Answers[i])
		score += uint32(n)
	}
	if a.Score != 0 && a.Score != score {
		return refuse("score", strconv.Itoa(int(a.Score)), "the answers add up to "+strconv.Itoa(int(score)))
	}
	a.Score = score
	return q.risk(a)
}

func (q questionnaire) risk(a *pb.ScoredAssessment) *FieldError {
	band := 0
	for a.Score > q.bands[band] {
		band++
	}
	risk, _ := catalog.Words(q.risks).Label(band + 1)
	if err := word("risk", q.risks, &a.Risk); err != nil {
		return err
	}
	if a.Risk != "" && a.Risk != risk {
		return refuse("risk", a.Risk, "the score means "+risk)
	}
	a.Risk = risk
	return nil
}
