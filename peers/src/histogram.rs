//! Latencies, counted in buckets of about one and a half percent.

const SUB_BITS: u32 = 6;
const SUB: u64 = 1 << SUB_BITS;

/// Counts of nanoseconds in log-linear buckets.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; (64 * SUB) as usize], total: 0, max: 0 }
    }
}

/// Values under 64 have a bucket each; above, every power of two has 64 buckets.
fn bucket(ns: u64) -> usize {
    let exponent = ns.max(1).ilog2();
    if exponent < SUB_BITS {
        return ns as usize;
    }
    let shift = exponent - SUB_BITS;
    (u64::from(shift + 1) * SUB + ((ns >> shift) - SUB)) as usize
}

/// The smallest value of a bucket.
fn floor(bucket: usize) -> u64 {
    let (group, sub) = (bucket as u64 / SUB, bucket as u64 % SUB);
    if group == 0 { sub } else { (SUB + sub) << (group - 1) }
}

impl Histogram {
    /// Counts `times` values of `ns`.
    #[inline]
    pub fn record(&mut self, ns: u64, times: u64) {
        self.counts[bucket(ns)] += times;
        self.total += times;
        self.max = self.max.max(ns);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The largest value.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value that a share of all values does not exceed (0.5: the median).
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        let mut left = (self.total as f64 * share).ceil() as u64;
        for (at, count) in self.counts.iter().enumerate() {
            if *count >= left {
                return floor(at);
            }
            left -= count;
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_monotonic_and_close() {
        let mut last = 0;
        for ns in (0..10_000).chain((0..50).map(|shift| 1_000_u64 << (shift / 2))) {
            let floor = floor(bucket(ns));
            assert!(floor <= ns && ns - floor <= ns / 64, "{ns} counted as {floor}");
            last = last.max(bucket(ns));
        }
        assert!(last < 64 * SUB as usize);
    }

    #[test]
    fn quantiles() {
        let mut histogram = Histogram::default();
        for ns in 1..=50 {
            histogram.record(ns, 2);
        }
        assert_eq!(histogram.quantile(0.5), 25);
        assert_eq!(histogram.quantile(1.0), 50);
        assert_eq!(histogram.max(), 50);
    }
}
