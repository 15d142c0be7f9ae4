//! The name of a field together with the type of what it holds.

use std::borrow::Cow;
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
    holds: PhantomData<fn(&T)>,
}

impl<T: ?Sized> Key<T> {
    /// The key of the field with this name, 1 to 128 bytes. Whether it is a name is checked when
    /// the key is used.
    pub const fn new(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), holds: PhantomData }
    }

    /// The field's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn into_field_name(self) -> Result<FieldName, StoreError> {
        FieldName::new(self.name)
    }
}

impl<T: ?Sized> Clone for Key<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), holds: PhantomData }
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
        Self { name: Cow::Owned(name), holds: PhantomData }
    }
}
