//! Who a client is, by the access file of the moment.
//!
//! An [`Authority`] is shared by all who serve clients, whatever the protocol. Each client has an
//! [`Identity`]: what it has shown, and the access that it got for that. When another file comes into
//! force its holder [refreshes](Authority::refresh) the identity, and what was shown is looked up
//! again: a token that is gone, or a user that is, then counts no more.
//!
//! Invariant: an identity that was refreshed after a file came into force has no right that the file
//! does not give for what was shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use stockd_model::CertificateName;
use stockd_model::limits::TOKEN_SHOWN_BYTES_MAX;

use crate::access::Access;
use crate::file::AccessFile;
use crate::token::TokenHash;
use crate::user::{ANONYMOUS, User};

/// The user name that clients of Redis send who know none.
const DEFAULT_USER: &str = "default";

/// Says who clients are.
#[derive(Debug)]
pub struct Authority {
    file: ArcSwapOption<AccessFile>,
    /// Counts the files that came into force.
    generation: AtomicU64,
    /// Counts those that did not, because of a mistake in them.
    failed_loads: AtomicU64,
}

/// Who a client is.
#[derive(Clone, Debug)]
pub struct Identity {
    access: Access,
    /// None where nothing was shown: an idle connection is to hold few bytes.
    shown: Option<Arc<Shown>>,
    /// As the authority's when this was looked up.
    generation: u64,
    /// Whether the file has a user for what was shown, or for those who show nothing.
    is_known: bool,
}

/// What a client has shown.
#[derive(Debug)]
struct Shown {
    token: Option<TokenHash>,
    certificate: Option<Arc<[CertificateName]>>,
}

impl Default for Authority {
    /// One without a file: everybody may do everything.
    fn default() -> Authority {
        Authority {
            file: ArcSwapOption::empty(),
            generation: AtomicU64::new(0),
            failed_loads: AtomicU64::new(0),
        }
    }
}

impl Default for Identity {
    /// Of a client where there is no access file.
    fn default() -> Identity {
        Identity { access: Access::All, shown: None, generation: 0, is_known: true }
    }
}

impl Authority {
    /// One with this file.
    pub fn new(file: AccessFile) -> Authority {
        let authority = Authority::default();
        authority.replace(file);
        authority
    }

    /// Puts another file into force. Who holds identities has to [refresh](Authority::refresh) them.
    pub fn replace(&self, file: AccessFile) {
        self.file.store(Some(Arc::new(file)));
        // After the file: who sees the new number finds the new file, or a later one.
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Notes that a file was not taken because of a mistake in it.
    pub fn note_failed_load(&self) {
        self.failed_loads.fetch_add(1, Ordering::Relaxed);
    }

    /// How many files were not taken.
    pub fn failed_loads(&self) -> u64 {
        self.failed_loads.load(Ordering::Relaxed)
    }

    /// Whether there is no access file, so that everybody may do everything.
    pub fn is_open(&self) -> bool {
        self.generation() == 0
    }

    /// Changes with every file that comes into force; 0 where there is none.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The file in force, if there is one.
    pub fn file(&self) -> Option<Arc<AccessFile>> {
        self.file.load_full()
    }

    /// A client that has shown nothing.
    pub fn anonymous(&self) -> Identity {
        self.identify(None)
    }

    /// A client that shows a token, and perhaps says which user it is; `default` stands for no such
    /// word. `None` where the token is none of the file's, or is another user's. Where there is no file
    /// there are no tokens.
    pub fn by_token(&self, user: Option<&str>, token: &[u8]) -> Option<Identity> {
        self.show_token(&Identity::default(), user, token)
    }

    /// As [`by_token`](Authority::by_token), of a client that has shown something before: a certificate
    /// still counts when the token is gone.
    pub fn show_token(
        &self,
        before: &Identity,
        user: Option<&str>,
        token: &[u8],
    ) -> Option<Identity> {
        if token.len() > TOKEN_SHOWN_BYTES_MAX {
            return None;
        }
        let token = TokenHash::of(token);
        let generation = self.generation();
        let file = self.file.load();
        let found = file.as_ref()?.by_token(&token)?;
        let is_meant = user.is_none_or(|user| user == DEFAULT_USER || user == found.name());
        let certificate = before.certificate();
        let shown = Arc::new(Shown { token: Some(token), certificate });
        is_meant.then(|| Identity::of(found, Some(shown), generation))
    }

    /// A client whose certificate, which was checked, has these names: the first that is a user's says
    /// which. One whose certificate is no user's is as one that has shown nothing.
    pub fn by_certificate(&self, names: impl IntoIterator<Item = CertificateName>) -> Identity {
        let certificate = Some(names.into_iter().collect());
        self.identify(Some(Arc::new(Shown { token: None, certificate })))
    }

    /// Forgets the token that a client has shown.
    pub fn forget_token(&self, identity: &Identity) -> Identity {
        let certificate = identity.certificate();
        let shown = certificate.is_some().then(|| Arc::new(Shown { token: None, certificate }));
        self.identify(shown)
    }

    /// Looks up again what was shown, if another file has come into force. Returns whether the client's
    /// rights are others now.
    #[inline]
    pub fn refresh(&self, identity: &mut Identity) -> bool {
        self.generation() != identity.generation && self.refresh_now(identity)
    }

    #[cold]
    fn refresh_now(&self, identity: &mut Identity) -> bool {
        let now = self.identify(identity.shown.clone());
        let before = std::mem::replace(identity, now);
        before.access != identity.access || before.is_known != identity.is_known
    }

    fn identify(&self, shown: Option<Arc<Shown>>) -> Identity {
        let generation = self.generation();
        let file = self.file.load();
        let Some(file) = file.as_ref() else {
            return Identity { access: Access::All, shown, generation, is_known: true };
        };
        let token = shown.as_ref().and_then(|shown| shown.token.as_ref());
        let by_token = token.and_then(|token| file.by_token(token));
        let certificate = shown.as_ref().and_then(|shown| shown.certificate.as_ref());
        let names = certificate.into_iter().flat_map(|names| names.iter());
        let found = by_token.or_else(|| names.filter_map(|name| file.by_certificate(name)).next());
        match found.or_else(|| file.user(ANONYMOUS)) {
            Some(user) => Identity::of(user, shown, generation),
            None => Identity { access: Access::nothing(), shown, generation, is_known: false },
        }
    }
}

impl Identity {
    fn of(user: &Arc<User>, shown: Option<Arc<Shown>>, generation: u64) -> Identity {
        Identity { access: Access::User(Arc::clone(user)), shown, generation, is_known: true }
    }

    /// The names of the certificate that it has shown.
    fn certificate(&self) -> Option<Arc<[CertificateName]>> {
        self.shown.as_ref()?.certificate.clone()
    }

    /// What the client may do.
    #[inline(always)]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The name of the user; `None` where there is no access file, or where the client has shown nothing
    /// and the file has no user [`ANONYMOUS`].
    pub fn user(&self) -> Option<&str> {
        match &self.access {
            Access::User(user) if self.is_known => Some(user.name()),
            _ => None,
        }
    }

    /// Whether the client may be served at all: the file has a user for it, or there is no file.
    #[inline]
    pub fn is_known(&self) -> bool {
        self.is_known
    }
}

#[cfg(test)]
mod tests {
    use stockd_model::Right;

    use super::*;
    use crate::token::Token;

    fn token(number: u8) -> Token {
        Token::new([number; 32])
    }

    fn file(text: &str) -> AccessFile {
        AccessFile::parse(text).unwrap()
    }

    fn feed(tokens: &[u8], rest: &str) -> AccessFile {
        let hashes: Vec<_> =
            tokens.iter().map(|&it| format!("{:?}", token(it).hash().to_string())).collect();
        file(&format!("[[user]]\nname = \"feed\"\ntokens = [{}]\n{rest}", hashes.join(",")))
    }

    #[test]
    fn without_a_file_everybody_may_do_everything_and_has_no_token() {
        let authority = Authority::default();
        assert!(authority.is_open());
        let mut anybody = authority.anonymous();
        assert_eq!((anybody.access(), anybody.user()), (&Access::All, None));
        assert!(authority.by_token(None, token(1).as_str().as_bytes()).is_none());
        assert!(!authority.refresh(&mut anybody));
        authority.replace(file(""));
        assert!(authority.refresh(&mut anybody) && !anybody.is_known());
    }

    #[test]
    fn a_token_is_good_for_its_user_alone() {
        let authority = Authority::new(feed(&[1, 2], "read = [\"*\"]"));
        for number in [1, 2] {
            let text = token(number);
            for user in [None, Some("default"), Some("feed")] {
                let it = authority.by_token(user, text.as_str().as_bytes()).unwrap();
                assert_eq!(it.user(), Some("feed"));
            }
            assert!(authority.by_token(Some("ops"), text.as_str().as_bytes()).is_none());
        }
        for wrong in [token(3).as_str(), "", "feed", &"x".repeat(10_000)] {
            assert!(authority.by_token(None, wrong.as_bytes()).is_none());
        }
    }

    #[test]
    fn tokens_rotate_and_end_with_the_file_that_has_them() {
        let authority = Authority::new(feed(&[1], "read = [\"*\"]"));
        let by = |number| authority.by_token(None, token(number).as_str().as_bytes());
        let mut old = by(1).unwrap();
        assert!(!authority.refresh(&mut old));
        authority.replace(feed(&[1, 2], "read = [\"*\"]"));
        assert!(!authority.refresh(&mut old), "nothing has changed for it");
        let mut new = by(2).unwrap();
        authority.replace(feed(&[2], "read = [\"US.*\"]"));
        assert!(authority.refresh(&mut old) && !old.is_known() && old.user().is_none());
        assert!(!old.access().has(Right::Read));
        assert!(authority.refresh(&mut new) && new.user() == Some("feed"));
        assert!(!new.access().reads(&"EU.X".parse().unwrap()));
        assert!(by(1).is_none());
    }

    #[test]
    fn a_certificate_counts_where_no_token_does() {
        let certificate =
            "[[user]]\nname = \"desk\"\ncertificate = \"CN=desk-7\"\ntrade = [\"*\"]\n";
        let anonymous = "[[user]]\nname = \"anonymous\"\nread = [\"DEMO.*\"]\n";
        let authority = Authority::new(file(&format!("{certificate}{anonymous}")));
        let named = |name: &str| authority.by_certificate([name.parse().unwrap()]);
        let desk = named("CN=desk-7");
        assert_eq!(desk.user(), Some("desk"));
        assert_eq!(named("CN=desk-8").user(), Some("anonymous"));
        assert_eq!(named("DNS:desk-7").user(), Some("anonymous"));
        assert!(authority.anonymous().access().reads(&"DEMO.A".parse().unwrap()));
        assert_eq!(authority.forget_token(&desk).user(), Some("desk"));
    }
}
