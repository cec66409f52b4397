//! What goes wrong in a run: all that its seed says, or only what is named.
//!
//! A disturbance is named by its place in the plans of its world, a fault that happened by chance by its
//! kind and by how often chance had said yes to that kind before. What is not named does not happen, and
//! draws no other numbers: so a schedule can lose one of its parts and keep the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::faults::FaultKind;

/// Firings of faults that happen by chance, by kind.
pub(super) type Chances = BTreeMap<FaultKind, BTreeSet<u64>>;

/// Which of the disturbances and faults of a seed happen: what a [`Runner`](super::Runner) has found to
/// be enough for a failure, as a text that can be kept, and [replayed](super::World::replay).
///
/// ```
/// use tigereye::sim::{Schedule, World};
///
/// let text = "seed 42; plan 1 3; fault segment-lost 7";
/// let schedule: Schedule = text.parse()?;
/// assert_eq!(schedule.seed(), 42);
/// assert_eq!(schedule.len(), Some(3));
/// assert_eq!(schedule.to_string(), text);
/// let world = World::replay(&schedule);
/// # let _ = world;
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    seed: u64,
    pub(super) only: Option<Kept>,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Kept {
    pub(super) plan: BTreeSet<u64>,
    pub(super) chances: Chances,
}

impl Schedule {
    /// All that the seed says.
    pub fn all(seed: u64) -> Schedule {
        Schedule { seed, only: None }
    }

    pub(super) fn only(seed: u64, kept: Kept) -> Schedule {
        Schedule { seed, only: Some(kept) }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How many disturbances and faults it names; nothing where it allows all.
    #[expect(clippy::len_without_is_empty, reason = "it is no collection")]
    pub fn len(&self) -> Option<usize> {
        self.only.as_ref().map(Kept::len)
    }
}

impl Kept {
    pub(super) fn len(&self) -> usize {
        self.plan.len() + self.chances.values().map(BTreeSet::len).sum::<usize>()
    }
}

/// The name of a kind as one word.
fn word(kind: FaultKind) -> String {
    kind.to_string().replace(' ', "-")
}

fn write_numbers(f: &mut fmt::Formatter<'_>, numbers: &BTreeSet<u64>) -> fmt::Result {
    numbers.iter().try_for_each(|number| write!(f, " {number}"))
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}", self.seed)?;
        let Some(Kept { plan, chances }) = &self.only else { return Ok(()) };
        write!(f, "; plan")?;
        write_numbers(f, plan)?;
        for (&kind, firings) in chances {
            write!(f, "; fault {}", word(kind))?;
            write_numbers(f, firings)?;
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = String;

    /// Reads what `Display` writes. A part may have a line of its own instead of a semicolon, and `#`
    /// begins a remark, up to the end of the line.
    fn from_str(text: &str) -> Result<Schedule, String> {
        let (mut seed, mut only) = (None, None::<Kept>);
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        for part in lines.flat_map(|line| line.split(';')) {
            let mut words = part.split_whitespace();
            let unknown = || format!("no part of a schedule: {part:?}");
            match words.next() {
                None => continue,
                Some("seed") => {
                    let number = words.next().ok_or_else(unknown)?;
                    seed = Some(number.parse().map_err(|_| unknown())?);
                }
                Some("plan") => {
                    let numbers = words.by_ref().map(|word| word.parse().map_err(|_| unknown()));
                    let numbers = numbers.collect::<Result<Vec<u64>, _>>()?;
                    only.get_or_insert_default().plan.extend(numbers);
                }
                Some("fault") => {
                    let name = words.next().ok_or_else(unknown)?;
                    let kind = FaultKind::ALL.iter().find(|&&kind| word(kind) == name);
                    let &kind = kind.ok_or_else(|| format!("no kind of fault: {name:?}"))?;
                    let numbers = words.by_ref().map(|word| word.parse().map_err(|_| unknown()));
                    let numbers = numbers.collect::<Result<Vec<u64>, _>>()?;
                    let chances = &mut only.get_or_insert_default().chances;
                    chances.entry(kind).or_default().extend(numbers);
                }
                Some(_) => return Err(unknown()),
            }
            if words.next().is_some() {
                return Err(unknown());
            }
        }
        let seed = seed.ok_or_else(|| String::from("a schedule names its seed: `seed 1`"))?;
        Ok(Schedule { seed, only })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_as_it_was_written() {
        for text in
            ["seed 7", "seed 7; plan", "seed 18446744073709551615; plan 0 2; fault bit-rot 1"]
        {
            let schedule: Schedule = text.parse().unwrap();
            assert_eq!(schedule.to_string(), text);
            assert_eq!(schedule.to_string().parse(), Ok(schedule));
        }
        for &kind in FaultKind::ALL {
            let text = format!("seed 1; plan; fault {} 0", word(kind));
            assert_eq!(text.parse::<Schedule>().map(|schedule| schedule.len()), Ok(Some(1)));
        }
        let lines = "# what is left\nseed 1\nplan 3 # 2 s: server is killed\n\nplan 1";
        let schedule: Schedule = lines.parse().unwrap();
        assert_eq!(schedule.to_string(), "seed 1; plan 1 3");
    }

    #[test]
    fn what_is_no_schedule_is_told() {
        for text in
            ["", "plan 1", "seed", "seed x", "seed 1 2", "seed 1; plan x", "seed 1; fault x 1"]
        {
            assert!(text.parse::<Schedule>().is_err(), "{text:?}");
        }
    }
}
