import Models
import Testing

/// Expected values are those of mpmath with 40 digits.
@Suite struct ElementaryTests {
    @Test func `exponential and logarithm are right to the last digits`() {
        let exponentials: [(Double, Double)] = [
            (0, 1), (1, 2.718281828459045), (-1, 0.36787944117144233), (0.5, 1.6487212707001282),
            (20.25, 622964442.1984455), (-745, .leastNonzeroMagnitude), (709, 8.218407461554972e+307),
            (1e-9, 1.000000001),
        ]
        for (x, expected) in exponentials {
            #expect(abs(Elementary.exponential(x) - expected) <= 1e-15 * expected + .leastNonzeroMagnitude, "e^\(x)")
        }
        let logarithms: [(Double, Double)] = [
            (1, 0), (2, 0.6931471805599453), (10, 2.302585092994046), (0.1, -2.302585092994046),
            (1e6, 13.815510557964274), (1e-300, -690.7755278982137), (1.0000001, 9.999999505838704e-08),
        ]
        for (x, expected) in logarithms {
            #expect(abs(Elementary.logarithm(x) - expected) <= 2e-15 * abs(expected) + 1e-22, "ln \(x)")
        }
        #expect(Elementary.exponential(800) == .infinity && Elementary.exponential(-800) == 0)
        #expect(Elementary.exponential(.nan).isNaN && Elementary.logarithm(0) == -.infinity)
        #expect(Elementary.logarithm(-1).isNaN)
    }

    @Test func `an angle without meaning gives no number instead of stopping the process`() {
        for angle in [Double.infinity, -.infinity, .nan, 1e300] {
            #expect(Elementary.cosineSine(angle).cosine.isNaN && Elementary.cosineSine(angle).sine.isNaN)
        }
    }

    @Test func `powers combine the two`() {
        #expect(abs(Elementary.power(10_000, 0.25) - 10) < 1e-13)
        #expect(abs(Elementary.power(500_000, 0.5) - 707.1067811865476) < 1e-11)
        #expect(Elementary.power(7, 0) == 1)
    }

    @Test func `cosine and sine are right in every quarter and far out`() {
        let values: [(Double, Double, Double)] = [
            (0, 1, 0), (0.5, 0.8775825618903728, 0.479425538604203), (2, -0.4161468365471424, 0.9092974268256817),
            (4, -0.6536436208636119, -0.7568024953079282), (-5.5, 0.70866977429126, 0.7055403255703919),
            (4095, -0.0659759965580649, -0.9978212103769744),
            (100_000, -0.9993608074382125, 0.03574879797201651),
        ]
        for (angle, cosine, sine) in values {
            let found = Elementary.cosineSine(angle)
            #expect(abs(found.cosine - cosine) < 1e-14 && abs(found.sine - sine) < 1e-14, "angle \(angle)")
        }
    }
}
