//! The name of a field together with the type of what it holds.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::marker::PhantomData;

use abide_session::{FieldName, StoreError};

/// A field's name and type, said once.
///
/// ```
/// use abide::Key;
///
/// const VISITS: Key<u32> = Key::new("visits");
/// ```
///
/// Wherever a key is asked for, the bare name does as well; the type is then said at the call:
/// `session.get::<u32>("visits")`.
pub struct Key<T: ?Sized> {
    name: Cow<'static, str>,
    is_lenient: bool,
    holds: PhantomData<fn(&T)>,
}

impl<T: ?Sized> Key<T> {
    /// The key of the field with this name, 1 to 128 bytes. Whether it is a name is checked when
    /// the key is used.
    pub const fn new(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), is_lenient: false, holds: PhantomData }
    }

    /// The same, for a field that counts as absent if it does not decode: what an older version of
    /// the program kept there is then not worth an error. Each time is counted, in
    /// [`Counters::undecodable`](crate::Counters::undecodable).
    ///
    /// ```
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Draft;
    /// const DRAFT: abide::Key<Draft> = abide::Key::new("draft").lenient();
    /// ```
    pub const fn lenient(mut self) -> Self {
        self.is_lenient = true;
        self
    }

    /// The field's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn is_lenient(&self) -> bool {
        self.is_lenient
    }

    pub(crate) fn into_field_name(self) -> Result<FieldName, StoreError> {
        FieldName::new(self.name)
    }
}

/// What names a field that a `V` is put into: the [`Key`] of a type that a `V` stands for, as a `str`
/// does for a `String`; or a bare name.
pub trait KeyFor<V: ?Sized> {
    /// The field's name.
    fn into_name(self) -> Cow<'static, str>;
}

impl<V: ?Sized, T: Borrow<V> + ?Sized> KeyFor<V> for Key<T> {
    fn into_name(self) -> Cow<'static, str> {
        self.name
    }
}

impl<V: ?Sized> KeyFor<V> for &'static str {
    fn into_name(self) -> Cow<'static, str> {
        Cow::Borrowed(self)
    }
}

impl<V: ?Sized> KeyFor<V> for String {
    fn into_name(self) -> Cow<'static, str> {
        Cow::Owned(self)
    }
}

impl<T: ?Sized> Clone for Key<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), is_lenient: self.is_lenient, holds: PhantomData }
    }
}

impl<T: ?Sized> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}

impl<T: ?Sized> From<&'static str> for Key<T> {
    fn from(name: &'static str) -> Self {
        Self::new(name)
    }
}

impl<T: ?Sized> From<Key<T>> for Cow<'static, str> {
    fn from(key: Key<T>) -> Self {
        key.name
    }
}

impl<T: ?Sized> From<String> for Key<T> {
    fn from(name: String) -> Self {
        Self { name: Cow::Owned(name), is_lenient: false, holds: PhantomData }
    }
}
