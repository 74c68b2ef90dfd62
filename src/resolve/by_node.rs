//! A table with at most one entry for each node of a module.

use crate::syntax::ast::NodeId;

/// Entries by [`NodeId`]. As these are dense, a place for each costs less than a map.
#[derive(Clone, Debug)]
pub struct ByNode<T> {
    entries: Vec<Option<T>>,
}

impl<T> Default for ByNode<T> {
    fn default() -> ByNode<T> {
        ByNode { entries: vec![] }
    }
}

impl<T> ByNode<T> {
    /// The entry of a node.
    pub fn get(&self, id: &NodeId) -> Option<&T> {
        self.entries.get(id.0 as usize)?.as_ref()
    }

    /// Sets the entry of a node.
    pub fn insert(&mut self, id: NodeId, entry: T) {
        let at = id.0 as usize;
        if at >= self.entries.len() {
            self.entries.resize_with(at + 1, || None);
        }
        if let Some(place) = self.entries.get_mut(at) {
            *place = Some(entry);
        }
    }

    /// All entries.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().flatten()
    }
}
