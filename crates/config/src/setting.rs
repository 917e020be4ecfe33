//! The declaration of a setting, and the macro with which a section declares each once: variable, roles, field, type,
//! parser, default, example and meaning.

use super::environment::Role;

/// Whether a value may be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// It may.
    Open,
    /// Never. It is read from the environment only, since a file could be committed.
    Secret,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name in the environment.
    pub name: &'static str,
    /// Its name in the files, as `section.key`; `None` if it is read from the environment only.
    pub key: Option<&'static str>,
    /// The value if no source has one.
    pub default: Option<&'static str>,
    /// A valid value.
    pub example: &'static str,
    /// The roles that read it.
    pub roles: &'static [Role],
    /// Whether its value may be printed.
    pub secrecy: Secrecy,
    pub(crate) doc: &'static str,
}

impl Variable {
    /// What it means, with its unit and special values.
    pub fn meaning(&self) -> &'static str {
        self.doc.trim()
    }

    /// An example to copy.
    pub(crate) fn assignment(&self) -> String {
        format!("Example: {}={}", self.name, self.example)
    }
}

/// The settings of one section, as the documentation groups them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    #[cfg(test)]
    pub(crate) title: &'static str,
    pub(crate) variables: &'static [Variable],
}

/// Declares a section: a struct with a field for each setting, the settings as constants named like their variables,
/// and `read`. One setting is
///
/// ```text
/// /// What it means.
/// VARIABLE[ROLES] field: Type = parser, KIND "text";
/// ```
///
/// followed, before the semicolon, by `, example "…"` if the default is no good example, and by `, key "…"` if the key
/// in the files is not the field's name. KIND is one of
///
/// - `default`: the text is the value if no source has one. The field has the type; all others have an `Option`.
/// - `optional`: it may be unset; the text is an example, as in those below.
/// - `late`: the same, but the section reads it itself, after the others on which it depends.
/// - `variable`: it is read from the environment only.
/// - `secret`: the same, and it is never printed.
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        $section:ident in $table:literal, titled $title:literal;
        $(
            $(#[doc = $meaning:literal])+
            $name:ident[$roles:ident] $field:ident: $type:ty = $parse:expr,
                $kind:ident $text:literal $(, example $example:literal)? $(, key $key:literal)?;
        )+
        $(also $(#[doc = $extra_meaning:literal])+ $extra:ident: $extra_type:ty;)*
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone)]
        pub struct $section {
            $($(#[doc = $meaning])+ pub $field: settings!(@type $kind $type),)+
            $($(#[doc = $extra_meaning])+ pub $extra: $extra_type,)*
        }

        impl $section {
            $(pub(crate) const $name: Variable = Variable {
                name: stringify!($name),
                key: settings!(@key $kind $table $field $($key)?),
                default: settings!(@default $kind $text),
                example: settings!(@example $text $($example)?),
                roles: roles::$roles,
                secrecy: settings!(@secrecy $kind),
                doc: concat!($($meaning),+),
            };)+

            pub(crate) const GROUP: Group =
                Group {
                #[cfg(test)]
                title: $title,
                variables: &[$(Self::$name),+],
            };

            pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
                Self {
                    $($field: settings!(@read $kind reader, &Self::$name, $parse),)+
                    $($extra: <$extra_type>::default(),)*
                }
            }
        }
    };

    (@type default $type:ty) => { $type };
    (@type $kind:ident $type:ty) => { Option<$type> };

    (@key variable $($rest:tt)*) => { None };
    (@key secret $($rest:tt)*) => { None };
    (@key $kind:ident $table:literal $field:ident) => { Some(concat!($table, ".", stringify!($field))) };
    (@key $kind:ident $table:literal $field:ident $key:literal) => { Some(concat!($table, ".", $key)) };

    (@default default $text:literal) => { Some($text) };
    (@default $kind:ident $text:literal) => { None };

    (@example $text:literal) => { $text };
    (@example $text:literal $example:literal) => { $example };

    (@secrecy secret) => { Secrecy::Secret };
    (@secrecy $kind:ident) => { Secrecy::Open };

    (@read default $reader:ident, $variable:expr, $parse:expr) => { $reader.required($variable, $parse) };
    (@read late $reader:ident, $variable:expr, $parse:expr) => { None };
    (@read $kind:ident $reader:ident, $variable:expr, $parse:expr) => { $reader.optional($variable, $parse) };
}

pub(crate) use settings;
