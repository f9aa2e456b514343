//! The access file: TOML to users, each mistake with its line.
//!
//! Invariant: what was read has no name, token or certificate twice, and nothing in it was passed over.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use stockd_model::limits::{
    ACCESS_FILE_BYTES_MAX, ACCESS_USERS_MAX, USER_NAME_BYTES_MAX, USER_TOKENS_MAX,
};
use stockd_model::{CertificateName, Right, escaped};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::grants::{Grant, Grants};
use crate::token::TokenHash;
use crate::user::{ANONYMOUS, User};

/// The users of an access file.
#[derive(Debug, Default)]
pub struct AccessFile {
    users: HashMap<Arc<str>, Arc<User>>,
    /// By the [place](TokenHash::place) of the hash, in order.
    tokens: Vec<(TokenHash, Arc<User>)>,
    certificates: HashMap<CertificateName, Arc<User>>,
    /// The hashes and certificates of each user.
    shown: HashMap<Arc<str>, Vec<String>>,
}

/// What is wrong with an access file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessFileError {
    /// The line, from 1; 0 where it is the file as a whole.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub why: String,
}

/// A mistake, and the bytes of the file in which it lies.
struct Mistake(Range<usize>, String);

type Read<T> = Result<T, Mistake>;
type Value<'a> = Spanned<DeValue<'a>>;

impl AccessFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub fn parse(text: &str) -> Result<AccessFile, AccessFileError> {
        if text.len() > ACCESS_FILE_BYTES_MAX {
            let why = format!(
                "the file has {} bytes, the limit is {ACCESS_FILE_BYTES_MAX}; grant prefixes instead of single stocks",
                text.len()
            );
            return Err(AccessFileError { line: 0, why });
        }
        let line_of = |offset: usize| {
            let before = text.as_bytes().get(..offset).unwrap_or_default();
            1 + before.iter().filter(|&&byte| byte == b'\n').count()
        };
        let table = DeTable::parse(text).map_err(|error| AccessFileError {
            line: line_of(error.span().map_or(0, |span| span.start)),
            why: error.message().replace('\n', ", "),
        })?;
        AccessFile::read(table.get_ref())
            .map_err(|Mistake(span, why)| AccessFileError { line: line_of(span.start), why })
    }

    /// The user of this name.
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// All users, by their names.
    pub fn users(&self) -> Vec<&User> {
        let mut users: Vec<&User> = self.users.values().map(|user| &**user).collect();
        users.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        users
    }

    /// In which users another file differs, in words; empty where they mean the same.
    pub fn differences(&self, other: &AccessFile) -> String {
        /// Users that are named; the others are counted.
        const NAMED_MAX: usize = 10;
        let mut names: Vec<String> = Vec::new();
        for user in other.users() {
            match self.users.get(&user.name) {
                None => names.push(format!("{} came", user.name)),
                Some(before)
                    if **before != *user || self.shown_by(user) != other.shown_by(user) =>
                {
                    names.push(format!("{} changed", user.name));
                }
                Some(_) => {}
            }
        }
        let gone = self.users().into_iter().filter(|user| !other.users.contains_key(&user.name));
        names.extend(gone.map(|user| format!("{} went", user.name)));
        let more = names.len().saturating_sub(NAMED_MAX);
        names.truncate(NAMED_MAX);
        if more > 0 {
            names.push(format!("{more} more"));
        }
        names.join(", ")
    }

    /// By what a user is known, to be compared.
    fn shown_by(&self, user: &User) -> &[String] {
        self.shown.get(&user.name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn by_token(&self, token: &TokenHash) -> Option<&Arc<User>> {
        let at = self.tokens.partition_point(|(own, _)| own.place() < token.place());
        let alike = self.tokens.get(at..)?.iter();
        let mut alike = alike.take_while(|(own, _)| own.place() == token.place());
        alike.find_map(|(own, user)| own.is(token).then_some(user))
    }

    pub(crate) fn by_certificate(&self, name: &CertificateName) -> Option<&Arc<User>> {
        self.certificates.get(name)
    }

    fn read(table: &DeTable<'_>) -> Read<AccessFile> {
        let mut file = AccessFile::default();
        for (key, value) in table {
            if key.get_ref() != "user" {
                let why = format!(
                    "unknown key '{}'; an access file has [[user]] tables alone",
                    escaped(&**key.get_ref())
                );
                return Err(Mistake(key.span(), why));
            }
            let DeValue::Array(users) = value.get_ref() else {
                return Err(Mistake(value.span(), "write [[user]], in two brackets".into()));
            };
            for user in users.iter() {
                let DeValue::Table(fields) = user.get_ref() else {
                    return Err(Mistake(user.span(), "write [[user]], in two brackets".into()));
                };
                file.add(user.span(), fields)?;
            }
        }
        file.tokens.sort_unstable_by_key(|(token, _)| token.place());
        let mut pairs = file.tokens.windows(2);
        let twice = pairs.find_map(|pair| match pair {
            [(one, user), (other, second)] if one.is(other) => Some((user, second)),
            _ => None,
        });
        match twice {
            Some((user, second)) => {
                let (user, second) = (user.name(), second.name());
                let why = format!("'{user}' and '{second}' have the same token; make one for each");
                Err(Mistake(0..0, why))
            }
            None => Ok(file),
        }
    }

    fn add(&mut self, span: Range<usize>, fields: &DeTable<'_>) -> Read<()> {
        if self.users.len() >= ACCESS_USERS_MAX {
            let why = format!("the file has more than {ACCESS_USERS_MAX} users, the limit");
            return Err(Mistake(span, why));
        }
        let mut user = User::default();
        let (mut tokens, mut certificates, mut rights) = (Vec::new(), Vec::new(), Vec::new());
        for (key, value) in fields {
            match &**key.get_ref() {
                "name" => user.name = name(value)?,
                "tokens" => tokens = each(value, |text| text.parse().map_err(to_text))?,
                "certificate" => certificates = each(value, |text| text.parse().map_err(to_text))?,
                "read" => user.read = grants(value)?,
                "write" => user.write = grants(value)?,
                "trade" => user.trade = grants(value)?,
                "rights" => rights = each(value, right)?,
                other => {
                    let why = format!(
                        "unknown key '{}'; a user has name, tokens, certificate, read, write, trade and rights",
                        escaped(other)
                    );
                    return Err(Mistake(key.span(), why));
                }
            }
        }
        if user.name.is_empty() {
            return Err(Mistake(span, "this user has no name; write name = \"…\"".into()));
        }
        check(&user.name, &tokens, &certificates, &rights)
            .map_err(|why| Mistake(span.clone(), why))?;
        let user = Arc::new(user.with_rights(rights));
        self.enter(&user, tokens, certificates).map_err(|why| Mistake(span, why))
    }

    /// Enters a user under all that shows who it is.
    fn enter(
        &mut self,
        user: &Arc<User>,
        tokens: Vec<TokenHash>,
        certificates: Vec<CertificateName>,
    ) -> Result<(), String> {
        let name = user.name();
        let hashes = tokens.iter().map(TokenHash::to_string);
        let shown = hashes.chain(certificates.iter().map(CertificateName::to_string)).collect();
        self.shown.insert(Arc::clone(&user.name), shown);
        for certificate in certificates {
            let taken = self.certificates.insert(certificate.clone(), Arc::clone(user));
            if let Some(other) = taken {
                return Err(format!(
                    "certificate '{certificate}' of '{name}' is that of '{}' already; give each to one user",
                    other.name()
                ));
            }
        }
        for token in tokens {
            self.tokens.push((token, Arc::clone(user)));
        }
        match self.users.insert(Arc::clone(&user.name), Arc::clone(user)) {
            Some(_) => Err(format!("there are two users '{name}'; make them one, or rename one")),
            None => Ok(()),
        }
    }
}

/// What a user may not have.
fn check(
    name: &str,
    tokens: &[TokenHash],
    certificates: &[CertificateName],
    rights: &[Right],
) -> Result<(), String> {
    if tokens.len() > USER_TOKENS_MAX {
        return Err(format!(
            "user '{name}' has {} tokens, the limit is {USER_TOKENS_MAX}; take the older ones out",
            tokens.len()
        ));
    }
    if name != ANONYMOUS {
        return Ok(());
    }
    if !tokens.is_empty() || !certificates.is_empty() {
        return Err(format!(
            "'{ANONYMOUS}' is who shows nothing, so it has no tokens and no certificate; give them to a user of another name"
        ));
    }
    if rights.contains(&Right::Admin) {
        return Err(format!(
            "'{ANONYMOUS}' is everybody, so it cannot have the right admin; give it to a user of another name"
        ));
    }
    Ok(())
}

fn name(value: &Value<'_>) -> Read<Arc<str>> {
    let name = text(value)?;
    let why = if name == "default" {
        "clients of Redis say 'default' where they know no name; choose another".into()
    } else if name.len() > USER_NAME_BYTES_MAX {
        format!("the name has {} bytes, the limit is {USER_NAME_BYTES_MAX}", name.len())
    } else if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        "a name is printable ASCII without spaces".into()
    } else {
        return Ok(name.into());
    };
    Err(Mistake(value.span(), why))
}

fn grants(value: &Value<'_>) -> Read<Grants> {
    Ok(Grants::new(each(value, |text| {
        Grant::parse(text).map_err(|error| format!("'{}': {error}", escaped(text).at_most(60)))
    })?))
}

fn right(text: &str) -> Result<Right, String> {
    let given = [Right::Admin, Right::Metrics];
    given.into_iter().find(|right| right.as_str() == text).ok_or_else(|| {
        format!(
            "unknown right '{}'; there are admin and metrics, and read, write and trade are lists of their own",
            escaped(text).at_most(60)
        )
    })
}

/// Reads each text of a list, or of one text that stands alone.
fn each<T>(value: &Value<'_>, read: impl Fn(&str) -> Result<T, String>) -> Read<Vec<T>> {
    let read = |value: &Value<'_>| read(text(value)?).map_err(|why| Mistake(value.span(), why));
    match value.get_ref() {
        DeValue::Array(values) => values.iter().map(read).collect(),
        _ => Ok(vec![read(value)?]),
    }
}

fn text<'a>(value: &'a Value<'_>) -> Read<&'a str> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text),
        other => {
            let why = format!("this is {}; write a text in quotes", other.type_str());
            Err(Mistake(value.span(), why))
        }
    }
}

fn to_text(error: impl fmt::Display) -> String {
    error.to_string()
}

impl fmt::Display for AccessFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.why),
            line => write!(f, "line {line}: {}", self.why),
        }
    }
}

impl std::error::Error for AccessFileError {}

#[cfg(test)]
mod tests;
