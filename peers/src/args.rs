//! Command lines of the form `--name value`, or `--name` alone where that says it all.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

/// Parsed arguments. Each is taken once; [`Args::finish`] refuses what nobody took.
pub struct Args(BTreeMap<String, Option<String>>);

impl Args {
    /// Reads the process's arguments; a wrong shape ends the process with a message.
    #[must_use]
    pub fn from_env() -> Self {
        let mut map = BTreeMap::new();
        let mut args = std::env::args().skip(1).peekable();
        while let Some(name) = args.next() {
            let Some(name) = name.strip_prefix("--") else { fail(&format!("unexpected {name:?}")) };
            let value = args.next_if(|next| !next.starts_with("--"));
            map.insert(name.to_owned(), value);
        }
        Self(map)
    }

    /// The value of `--name` if it was given.
    pub fn take<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let Some(value) = self.0.remove(name)? else { fail(&format!("--{name} needs a value")) };
        match value.parse() {
            Ok(value) => Some(value),
            Err(error) => fail(&format!("--{name} {value}: {error}")),
        }
    }

    /// Whether `--name` was given, with nothing behind it.
    pub fn flag(&mut self, name: &str) -> bool {
        match self.0.remove(name) {
            Some(Some(value)) => fail(&format!("--{name} {value}: it takes no value")),
            Some(None) => true,
            None => false,
        }
    }

    /// The value of `--name`, or a default.
    pub fn get<T: FromStr<Err: Display>>(&mut self, name: &str, default: T) -> T {
        self.take(name).unwrap_or(default)
    }

    /// A list, separated by commas.
    pub fn list<T: FromStr<Err: Display>>(&mut self, name: &str, default: &str) -> Vec<T> {
        let text: String = self.get(name, default.to_owned());
        let parse = |part: &str| match part.parse() {
            Ok(value) => value,
            Err(error) => fail(&format!("--{name} {part}: {error}")),
        };
        text.split(',').filter(|part| !part.is_empty()).map(parse).collect()
    }

    /// Ends the process if an argument is left that nothing asked for.
    pub fn finish(self) {
        if let Some(name) = self.0.keys().next() {
            fail(&format!("--{name} is not known"));
        }
    }
}

/// Prints a message to standard error and ends the process.
pub fn fail(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(2)
}
