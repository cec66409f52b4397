//! The world's chance: one stream of numbers a subsystem, all from one seed. What one subsystem draws
//! does not move the numbers of another, so a change in one leaves the others' runs as they were.
//!
//! xoshiro256++ 1.0 and splitmix64, of David Blackman and Sebastiano Vigna (prng.di.unimi.it), in
//! whole numbers alone: they are the same on every machine.

/// xoshiro256++.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: [u64; 4],
}

/// The next number of splitmix64, which spreads a seed.
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    /// The stream with this number of a seed.
    pub(super) fn new(seed: u64, stream: u64) -> Random {
        let mut of_stream = stream;
        let mut state = seed ^ splitmix64(&mut of_stream);
        Random { state: [(); 4].map(|()| splitmix64(&mut state)) }
    }

    pub(super) fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A number below `bound`, which is not zero: by the high half of a product, whose bias is below
    /// one in 2^32 for the bounds used here.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(bound);
        (product >> 64) as u64
    }

    /// A number of a range, its ends included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below((high.max(low) - low).saturating_add(1))
    }

    /// Whether something happens that does so once in `1 / probability` times. It draws a number only
    /// where it is in doubt.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        probability > 0.0 && ((self.next() >> 11) as f64 * STEP) < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_gives_the_published_numbers() {
        let mut state = 1_234_567;
        let numbers = [(); 5].map(|()| splitmix64(&mut state));
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821,
            ]
        );
    }

    #[test]
    fn xoshiro256_plus_plus_gives_the_published_numbers() {
        let mut random = Random { state: [1, 2, 3, 4] };
        let numbers = [(); 10].map(|()| random.next());
        assert_eq!(
            numbers,
            [
                41_943_041,
                58_720_359,
                3_588_806_011_781_223,
                3_591_011_842_654_386,
                9_228_616_714_210_784_205,
                9_973_669_472_204_895_162,
                14_011_001_112_246_962_877,
                12_406_186_145_184_390_807,
                15_849_039_046_786_891_736,
                10_450_023_813_501_588_000,
            ]
        );
    }

    #[test]
    fn numbers_of_a_range_are_in_it_and_reach_its_ends() {
        let mut random = Random::new(1, 2);
        let numbers: Vec<u64> = (0..1000).map(|_| random.between(3, 6)).collect();
        assert!((3..=6).all(|number| numbers.contains(&number)));
        assert!(numbers.iter().all(|number| (3..=6).contains(number)));
        assert_eq!(random.between(7, 7), 7);
    }
}
