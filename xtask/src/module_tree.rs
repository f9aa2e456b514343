//! The modules of a crate, and which file uses what another file defines.
//!
//! It reads tokens, not types. A path is followed from module to module and through re-exports, to the
//! file that defines what it names. Methods, fields and names of macros are not followed. Code for
//! tests (`#[cfg(test)]`) is left out.
//!
//! Invariant: a parent that only declares or re-exports a child does not use it. A file that names a
//! re-exported item uses the file that defines the item.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::workspace::Workspace;

/// Re-exports that one path is followed through, at most.
const REEXPORTS_MAX: usize = 16;

/// A file that uses another one of its crate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Use {
    pub(crate) user: PathBuf,
    pub(crate) used: PathBuf,
    /// One of the paths by which it is named.
    pub(crate) path: String,
}

/// Which files use which, beginning at the root file of a crate. Each pair is there once.
///
/// # Errors
///
/// When a file cannot be read or is not Rust.
pub(crate) fn uses(workspace: &Workspace, root: &Path) -> Result<Vec<Use>> {
    uses_in(root, &|file| workspace.has(file), &|file| workspace.text(file))
}

fn uses_in(
    root: &Path,
    exists: &dyn Fn(&Path) -> bool,
    read: &dyn Fn(&Path) -> Result<String>,
) -> Result<Vec<Use>> {
    let mut crate_ = Crate { modules: vec![Module::new(root.to_owned(), None)] };
    // Modules in files, each read once.
    let mut unread = vec![0];
    while let Some(module) = unread.pop() {
        let file = crate_.modules[module].file.clone();
        let tokens = TokenStream::from_str(&read(&file)?)
            .map_err(|error| anyhow!("{}: {error}", file.display()))?;
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        Reader { crate_: &mut crate_, module, children: &mut unread, exists }
            .read(&tokens, true)
            .with_context(|| file.display().to_string())?;
    }
    Ok(crate_.uses())
}

struct Crate {
    /// The first is the root.
    modules: Vec<Module>,
}

/// A module, in a file of its own or not.
struct Module {
    file: PathBuf,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    /// What `use` brings in, by the name it has here.
    imports: BTreeMap<String, Import>,
    /// The modules of `use module::*`.
    globs: Vec<Vec<String>>,
    /// What is defined here.
    items: Vec<String>,
    /// Every path of the code, and names that stand alone.
    paths: Vec<Vec<String>>,
}

struct Import {
    path: Vec<String>,
    /// Whether others can use it from here, which alone is no use by this module.
    reexported: bool,
}

impl Module {
    fn new(file: PathBuf, parent: Option<usize>) -> Module {
        Module {
            file,
            parent,
            children: BTreeMap::new(),
            imports: BTreeMap::new(),
            globs: Vec::new(),
            items: Vec::new(),
            paths: Vec::new(),
        }
    }
}

/// Reads the tokens of a module.
struct Reader<'a> {
    crate_: &'a mut Crate,
    module: usize,
    /// Where children with files of their own are added.
    children: &'a mut Vec<usize>,
    exists: &'a dyn Fn(&Path) -> bool,
}

impl Reader<'_> {
    /// Reads tokens; at the top, what they define are items of the module.
    fn read(&mut self, mut tokens: &[TokenTree], top: bool) -> Result<()> {
        let mut reexported = false;
        while let [first, rest @ ..] = tokens {
            tokens = rest;
            match first {
                TokenTree::Punct(mark) if mark.as_char() == '#' => {
                    if let [TokenTree::Group(attribute), after @ ..] = rest
                        && is_for_tests(&attribute.stream())
                    {
                        tokens = after_item(after);
                    }
                }
                // A method or a field: its name stands for nothing here.
                TokenTree::Punct(mark) if mark.as_char() == '.' => {
                    if let [TokenTree::Ident(_), after @ ..] = rest {
                        tokens = after;
                    }
                }
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    self.read(&inner, false)?;
                }
                TokenTree::Ident(word) => match word.to_string().as_str() {
                    "pub" => {
                        reexported = true;
                        if let [TokenTree::Group(of), after @ ..] = rest
                            && of.delimiter() == Delimiter::Parenthesis
                        {
                            tokens = after;
                        }
                        continue;
                    }
                    "use" => {
                        let end = rest.iter().position(is_semicolon).unwrap_or(rest.len());
                        self.import(&rest[..end], &[], reexported);
                        tokens = &rest[end..];
                    }
                    "mod" if top => tokens = self.child(rest)?,
                    kind => {
                        if top && DEFINING.contains(&kind) {
                            let name = rest.iter().find_map(|token| match token {
                                TokenTree::Ident(name) => Some(name.to_string()),
                                _ => None,
                            });
                            self.module().items.extend(name);
                        }
                        let (path, after) = path_at(kind, rest);
                        self.module().paths.push(path);
                        tokens = after;
                    }
                },
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            reexported = false;
        }
        Ok(())
    }

    fn module(&mut self) -> &mut Module {
        &mut self.crate_.modules[self.module]
    }

    /// Adds a child module and returns the tokens behind it.
    fn child<'t>(&mut self, tokens: &'t [TokenTree]) -> Result<&'t [TokenTree]> {
        let [TokenTree::Ident(name), body, after @ ..] = tokens else { return Ok(tokens) };
        let name = name.to_string();
        let child = self.crate_.modules.len();
        let file = match body {
            TokenTree::Group(_) => self.module().file.clone(),
            _ => self.file_of(&name)?,
        };
        self.crate_.modules.push(Module::new(file, Some(self.module)));
        self.module().children.insert(name, child);
        match body {
            TokenTree::Group(body) => {
                let inner: Vec<TokenTree> = body.stream().into_iter().collect();
                let Reader { crate_, children, exists, .. } = self;
                Reader { crate_, module: child, children, exists }.read(&inner, true)?;
            }
            _ => self.children.push(child),
        }
        Ok(after)
    }

    /// The file of a child module.
    fn file_of(&self, name: &str) -> Result<PathBuf> {
        let file = &self.crate_.modules[self.module].file;
        let directory = match file.file_stem().and_then(|stem| stem.to_str()) {
            Some("lib" | "main" | "mod") => file.with_file_name(""),
            _ => file.with_extension(""),
        };
        [directory.join(format!("{name}.rs")), directory.join(name).join("mod.rs")]
            .into_iter()
            .find(|file| (self.exists)(file))
            .with_context(|| format!("module {name} has no file"))
    }

    /// Adds what a `use` brings in: `before` is the path up to the tokens.
    fn import(&mut self, tokens: &[TokenTree], before: &[String], reexported: bool) {
        let mut path = before.to_vec();
        let mut name = None;
        let mut renamed = false;
        for token in tokens {
            match token {
                TokenTree::Ident(word) if *word == "as" => renamed = true,
                TokenTree::Ident(word) if renamed => name = Some(word.to_string()),
                TokenTree::Ident(word) if *word == "self" && !path.is_empty() => {}
                TokenTree::Ident(word) => path.push(word.to_string()),
                TokenTree::Punct(mark) if mark.as_char() == '*' => {
                    self.module().globs.push(path);
                    return;
                }
                TokenTree::Group(several) => {
                    let several: Vec<TokenTree> = several.stream().into_iter().collect();
                    // Nothing stands behind the last comma.
                    for one in several.split(is_comma).filter(|one| !one.is_empty()) {
                        self.import(one, &path, reexported);
                    }
                    return;
                }
                _ => {}
            }
        }
        if let Some(name) = name.or_else(|| path.last().cloned()) {
            // `use a as _` brings in no name, and is a use all the same.
            let name = if name == "_" { path.join("::") } else { name };
            self.module().imports.insert(name, Import { path, reexported });
        }
    }
}

/// What begins an item with a name.
const DEFINING: &[&str] =
    &["fn", "struct", "enum", "union", "trait", "type", "const", "static", "macro_rules"];

/// Whether an attribute keeps an item for tests.
fn is_for_tests(attribute: &TokenStream) -> bool {
    let text = attribute.to_string();
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    match words[..] {
        ["test"] => true,
        ["cfg", ..] => words.windows(2).any(|pair| pair[1] == "test" && pair[0] != "not"),
        _ => false,
    }
}

/// The tokens behind an item, a field or a statement.
fn after_item(tokens: &[TokenTree]) -> &[TokenTree] {
    let is_import = tokens
        .iter()
        .take_while(
            |token| !matches!(token, TokenTree::Group(of) if of.delimiter() == Delimiter::Brace),
        )
        .any(|token| matches!(token, TokenTree::Ident(word) if *word == "use"));
    let is_end = |token: &TokenTree| {
        let is_body = matches!(token, TokenTree::Group(of) if of.delimiter() == Delimiter::Brace);
        is_semicolon(token) || (is_body && !is_import)
    };
    match tokens.iter().position(is_end) {
        Some(end) => &tokens[end + 1..],
        None => &[],
    }
}

/// The path that begins with a word, and the tokens behind it.
fn path_at<'t>(first: &str, mut tokens: &'t [TokenTree]) -> (Vec<String>, &'t [TokenTree]) {
    let mut path = vec![first.to_owned()];
    while let [a, b, TokenTree::Ident(next), rest @ ..] = tokens {
        if !(is_mark(a, ':') && is_mark(b, ':')) {
            break;
        }
        path.push(next.to_string());
        tokens = rest;
    }
    (path, tokens)
}

fn is_semicolon(token: &TokenTree) -> bool {
    is_mark(token, ';')
}

fn is_comma(token: &TokenTree) -> bool {
    is_mark(token, ',')
}

fn is_mark(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(found) if found.as_char() == mark)
}

/// Where a path leads.
#[derive(Clone, Copy)]
enum Place {
    Module(usize),
    /// An item of this module.
    Item(usize),
}

impl Place {
    fn module(self) -> usize {
        match self {
            Place::Module(module) | Place::Item(module) => module,
        }
    }
}

impl Crate {
    fn uses(&self) -> Vec<Use> {
        let mut found = BTreeMap::new();
        for (at, module) in self.modules.iter().enumerate() {
            // A private import is a use; a re-export is one where its name stands in the code.
            let imports =
                module.imports.values().filter(|import| !import.reexported).map(|it| &it.path);
            for path in imports.chain(&module.globs).chain(&module.paths) {
                let Some(place) = self.resolve(at, path, 0) else { continue };
                let used = &self.modules[place.module()].file;
                if used != &module.file {
                    found
                        .entry((module.file.clone(), used.clone()))
                        .or_insert_with(|| path.join("::"));
                }
            }
        }
        let found = found.into_iter();
        found.map(|((user, used), path)| Use { user, used, path }).collect()
    }

    /// Where a path leads from a module; `None` when out of the crate, or nowhere.
    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Option<Place> {
        let (first, mut rest) = path.split_first()?;
        let mut place = match first.as_str() {
            "crate" => Place::Module(0),
            "self" => Place::Module(from),
            "super" => Place::Module(self.modules[from].parent?),
            name => self.find(from, name, depth)?,
        };
        while let (Place::Module(module), Some((name, after))) = (place, rest.split_first()) {
            place = match name.as_str() {
                "super" => Place::Module(self.modules[module].parent?),
                name => self.find(module, name, depth).unwrap_or(Place::Item(module)),
            };
            rest = after;
        }
        Some(place)
    }

    /// What a name stands for in a module.
    fn find(&self, module: usize, name: &str, depth: usize) -> Option<Place> {
        let Module { children, imports, globs, items, .. } = &self.modules[module];
        if let Some(child) = children.get(name) {
            return Some(Place::Module(*child));
        }
        if items.iter().any(|item| item == name) {
            return Some(Place::Item(module));
        }
        if depth == REEXPORTS_MAX {
            return None;
        }
        if let Some(import) = imports.get(name) {
            return self.resolve(module, &import.path, depth + 1);
        }
        globs.iter().find_map(|glob| {
            let place = self.resolve(module, glob, depth + 1)?;
            self.find(place.module(), name, depth + 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The uses among files given as name and text, as `user > used`.
    fn uses_of(files: &[(&str, &str)]) -> Vec<String> {
        let text = |file: &Path| files.iter().find(|(name, _)| Path::new(name) == file);
        let uses = uses_in(Path::new(files[0].0), &|file| text(file).is_some(), &|file| {
            Ok(text(file).context("no such file")?.1.to_owned())
        });
        let uses = uses.unwrap().into_iter();
        uses.map(|it| format!("{} > {}", it.user.display(), it.used.display())).collect()
    }

    #[test]
    fn a_use_leads_to_the_file_that_defines_what_is_named() {
        let uses = uses_of(&[
            ("lib.rs", "mod a; mod b; pub use b::deep::{Deep as Renamed, Other};"),
            ("a.rs", "use crate::Renamed; fn f() -> crate::b::B { super::b::deep::g() }"),
            ("b.rs", "pub(crate) mod deep; pub struct B;"),
            ("b/deep.rs", "use super::B; pub struct Deep; pub struct Other; pub fn g() -> B {}"),
        ]);
        assert_eq!(uses, ["a.rs > b/deep.rs", "a.rs > b.rs", "b/deep.rs > b.rs"]);
    }

    #[test]
    fn a_parent_uses_what_it_names_and_not_what_it_declares() {
        let declared = ("lib.rs", "mod a; pub use a::A;");
        let named = ("lib.rs", "mod a; pub use a::A; fn f() -> A {}");
        let by_path = ("lib.rs", "mod a; fn f() { let _ = matches!(x, a::A); }");
        let child = ("a.rs", "pub struct A;");
        assert_eq!(uses_of(&[declared, child]), [""; 0]);
        assert_eq!(uses_of(&[named, child]), ["lib.rs > a.rs"]);
        assert_eq!(uses_of(&[by_path, child]), ["lib.rs > a.rs"]);
    }

    #[test]
    fn modules_are_followed_through_imports_and_globs() {
        let uses = uses_of(&[
            ("main.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use super::{b,}; fn f() { b::c::g(); }"),
            ("b.rs", "pub(crate) use super::*; mod x { pub fn h() {} }"),
            ("c.rs", "pub fn g() { fn inner() { use crate::a::f; } }"),
        ]);
        assert_eq!(uses, ["a.rs > b.rs", "a.rs > c.rs", "b.rs > main.rs", "c.rs > a.rs"]);
    }

    #[test]
    fn neither_tests_nor_other_crates_nor_methods_are_uses() {
        let uses = uses_of(&[
            ("lib.rs", "mod a; mod b; #[cfg(all(test, loom))] mod models;"),
            (
                "a.rs",
                "use std::fs; #[cfg(test)] pub use crate::b::{B, C};
                 fn f() { x.b().b; fs::read(); ::b::c(); }
                 #[cfg(test)] mod tests { use crate::b::B; }
                 #[test] fn t() { crate::b::C; }",
            ),
            ("b.rs", "pub struct B; pub struct C; // crate::a::f"),
        ]);
        assert_eq!(uses, [""; 0]);
    }
}
