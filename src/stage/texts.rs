//! In the lanes: a model's scores of what stands in the rows of a batch.
//!
//! Most of it repeats to the letter, and need not be taken apart again: what is known of a text is
//! remembered by the text.

use crate::base::score::Ppm;
use crate::feature::{FeatureDef, Matrix};
use crate::model::{Cache, Models, Scorer};

/// What a stage makes of a text.
pub(super) trait Read {
    /// What the model scores.
    type Item;
    /// What else the stage wants to know of a text that has a score.
    type Known: Clone;

    /// Takes a text apart; nothing of one that is not scored.
    fn parse(&self, text: &[u8]) -> Option<Self::Item>;

    /// All that the model sees of an item.
    fn key(item: &Self::Item) -> &[u8];

    /// Appends its row.
    fn push(item: &Self::Item, matrix: &mut Matrix);

    /// What is remembered of it.
    fn known(item: &Self::Item) -> Self::Known;
}

/// What is known of a text.
#[derive(Clone, Debug)]
pub(super) struct Scored<K> {
    pub(super) score: Ppm,
    pub(super) known: K,
}

/// See the module.
pub(super) struct Texts<R: Read> {
    read: R,
    scorer: Scorer,
    cache: Cache<Option<Scored<R::Known>>>,
    rows: Vec<Option<Scored<R::Known>>>,
    scores: Vec<Option<Ppm>>,
    /// The text of a row, while it is looked at: most rows take no memory.
    text: Vec<u8>,
}

/// What a row has that is not known by the letter.
struct New<I> {
    row: usize,
    text: Vec<u8>,
    item: I,
}

impl<R: Read> Texts<R> {
    /// # Panics
    /// Without a model: the stage is not built then (`wiring`).
    pub(super) fn new(read: R, def: &'static FeatureDef, models: &Models) -> Self {
        let Some(scorer) = models.scorer(def) else { panic!("{} without its model", def.detector) };
        // What is not known by the letter is taken apart, which is cheap beside a score.
        let cache = Cache::new(models.cache() / 4);
        Self { read, scorer, cache, rows: Vec::new(), scores: Vec::new(), text: Vec::new() }
    }

    /// Looks at the rows of a batch: `write` appends the text of one, or says that it has none.
    pub(super) fn look(&mut self, rows: usize, write: impl Fn(usize, &mut Vec<u8>) -> bool) {
        self.rows.clear();
        let mut new = Vec::new();
        for row in 0..rows {
            self.rows.push(None);
            self.text.clear();
            if !write(row, &mut self.text) {
                continue;
            }
            if let Some(known) = self.cache.get(&self.text) {
                self.rows[row] = known;
                continue;
            }
            match self.read.parse(&self.text) {
                Some(item) => new.push(New { row, text: self.text.clone(), item }),
                None => self.cache.set(&self.text, None),
            }
        }
        let scores = self.scorer.score(
            &new,
            |new| R::key(&new.item),
            |new, matrix| R::push(&new.item, matrix),
        );
        for (New { row, text, item }, score) in new.iter().zip(scores) {
            self.rows[*row] = Some(Scored { score, known: R::known(item) });
            self.cache.set(text, self.rows[*row].clone());
        }
        self.scores.clear();
        self.scores.extend(self.rows.iter().map(|row| row.as_ref().map(|it| it.score)));
    }

    /// What is known of the rows of the last batch.
    pub(super) fn rows(&self) -> &[Option<Scored<R::Known>>] {
        &self.rows
    }

    /// Their scores.
    pub(super) fn scores(&self) -> &[Option<Ppm>] {
        &self.scores
    }
}
