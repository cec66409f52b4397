//! What goes wrong in a run: all that its seed says, or only what is named.
//!
//! A disturbance is named by its place in the plans of its world, a fault that happened by chance by its
//! kind and by how often chance had said yes to that kind before. What is not named does not happen, and
//! draws no other numbers: so a schedule can lose one of its parts and keep the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::str::FromStr;

use super::faults::FaultKind;

/// Something that goes wrong, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// A disturbance, by its place in the plans.
    Plan(u64),
    /// A fault by chance, by how often chance had said yes to its kind before.
    Chance(FaultKind, u64),
}

/// Which parts may happen: all, or these.
#[derive(Clone, Default)]
pub(super) struct Allowed(Option<Rc<BTreeSet<Part>>>);

impl Allowed {
    pub(super) fn by(schedule: &Schedule) -> Allowed {
        Allowed(schedule.only.clone().map(Rc::new))
    }

    pub(super) fn has(&self, part: Part) -> bool {
        self.0.as_ref().is_none_or(|only| only.contains(&part))
    }
}

/// Which of the disturbances and faults of a seed happen: what a [`Runner`](super::Runner) has found to
/// be enough for a failure, as a text that can be kept, and [replayed](super::World::replay).
///
/// ```
/// use tigereye::sim::{Schedule, World};
///
/// let text = "seed 42; plan 1 3; fault segment-lost 7";
/// let schedule: Schedule = text.parse()?;
/// assert_eq!(schedule.seed(), 42);
/// assert_eq!(schedule.size(), Some(3));
/// assert_eq!(schedule.to_string(), text);
/// let world = World::replay(&schedule);
/// # let _ = world;
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    seed: u64,
    /// What happens, if not all.
    only: Option<BTreeSet<Part>>,
}

impl Schedule {
    /// All that the seed says.
    pub fn all(seed: u64) -> Schedule {
        Schedule { seed, only: None }
    }

    pub(super) fn only(seed: u64, parts: impl IntoIterator<Item = Part>) -> Schedule {
        Schedule { seed, only: Some(parts.into_iter().collect()) }
    }

    /// What it names.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part> {
        self.only.iter().flatten().copied()
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How many disturbances and faults it names; nothing where it allows all.
    pub fn size(&self) -> Option<usize> {
        self.only.as_ref().map(BTreeSet::len)
    }
}

/// The name of a kind as one word.
fn word(kind: FaultKind) -> String {
    kind.to_string().replace(' ', "-")
}

/// The kind with such a name.
fn kind_of(name: &str) -> Option<FaultKind> {
    FaultKind::ALL.iter().copied().find(|&kind| word(kind) == name)
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Plan(number) => write!(f, "plan {number}"),
            Part::Chance(kind, number) => write!(f, "fault {} {number}", word(*kind)),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}", self.seed)?;
        let Some(only) = &self.only else { return Ok(()) };
        write!(f, "; plan")?;
        let mut chances: BTreeMap<FaultKind, Vec<String>> = BTreeMap::new();
        for part in only {
            match part {
                Part::Plan(number) => write!(f, " {number}")?,
                Part::Chance(kind, number) => {
                    chances.entry(*kind).or_default().push(number.to_string());
                }
            }
        }
        let mut chances = chances.iter();
        chances.try_for_each(|(&kind, all)| write!(f, "; fault {} {}", word(kind), all.join(" ")))
    }
}

impl FromStr for Schedule {
    type Err = String;

    /// Reads what `Display` writes. A part may have a line of its own instead of a semicolon, and `#`
    /// begins a remark, up to the end of the line.
    fn from_str(text: &str) -> Result<Schedule, String> {
        let (mut seed, mut only) = (None, None::<BTreeSet<Part>>);
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        for part in lines.flat_map(|line| line.split(';')) {
            let words: Vec<&str> = part.split_whitespace().collect();
            let unknown = || format!("no part of a schedule: {part:?}");
            let number = |word: &&str| word.parse::<u64>().map_err(|_| unknown());
            match words[..] {
                [] => {}
                ["seed", word] => seed = Some(number(&word)?),
                ["plan", ref numbers @ ..] => {
                    let only = only.get_or_insert_default();
                    for word in numbers {
                        only.insert(Part::Plan(number(word)?));
                    }
                }
                ["fault", name, ref numbers @ ..] => {
                    let kind =
                        kind_of(name).ok_or_else(|| format!("no kind of fault: {name:?}"))?;
                    let only = only.get_or_insert_default();
                    for word in numbers {
                        only.insert(Part::Chance(kind, number(word)?));
                    }
                }
                _ => return Err(unknown()),
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
            assert_eq!(text.parse::<Schedule>().map(|schedule| schedule.size()), Ok(Some(1)));
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
