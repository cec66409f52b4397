//! Numbered places that are used again, under names that are not.

use std::collections::VecDeque;

/// Names what is in a place; once that is gone the name finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) index: u32,
    pub(super) generation: u32,
}

pub(super) struct Slab<T> {
    places: Vec<(u32, Option<T>)>,
    /// The place that was left first is used first.
    free: VecDeque<u32>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Slab<T> {
        Slab { places: Vec::new(), free: VecDeque::new() }
    }

    pub(super) fn insert(&mut self, value: T) -> Key {
        let index = self.free.pop_front().unwrap_or_else(|| {
            self.places.push((0, None));
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let place = &mut self.places[index as usize];
        place.1 = Some(value);
        Key { index, generation: place.0 }
    }

    pub(super) fn get(&mut self, key: Key) -> Option<&mut T> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.0 == key.generation { place.1.as_mut() } else { None }
    }

    pub(super) fn peek(&self, key: Key) -> Option<&T> {
        let place = self.places.get(key.index as usize)?;
        if place.0 == key.generation { place.1.as_ref() } else { None }
    }

    /// The name of what is in a place now.
    pub(super) fn key(&self, index: u32) -> Option<Key> {
        let (generation, value) = self.places.get(index as usize)?;
        value.as_ref().map(|_| Key { index, generation: *generation })
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let place = &mut self.places[key.index as usize];
        place.0 = place.0.wrapping_add(1);
        self.free.push_back(key.index);
        place.1.take()
    }

    /// How many places are taken.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// The names of all, in the order of their places.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        (0..self.places.len()).filter_map(|index| self.key(index as u32))
    }
}
