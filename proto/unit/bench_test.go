package unit

import "testing"

func BenchmarkApply(b *testing.B) {
	for _, pair := range [][2]string{{"count/min", "count/s"}, {"mi", "m"}, {"degF", "degC"}} {
		b.Run(pair[0], func(b *testing.B) {
			c, err := Between(must(b, pair[0]), must(b, pair[1]))
			if err != nil {
				b.Fatal(err)
			}
			values := make([]float64, 1000)
			for i := range values {
				values[i] = 60 + float64(i)/7
			}
			b.ReportAllocs()
			sum := 0.0
			for b.Loop() {
				for _, v := range values {
					v = c.Apply(v)
					if v-v != 0 {
						sum++
					}
				}
			}
			if sum != 0 {
				b.Fatal(sum)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/value")
		})
	}
}

func BenchmarkBetween(b *testing.B) {
	from, to := must(b, "count/min"), must(b, "count/s")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Between(from, to); err != nil {
			b.Fatal(err)
		}
	}
}
