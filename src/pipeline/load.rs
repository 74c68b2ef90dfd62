//! Finding, parsing, resolving and checking modules, imported ones first.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustc_hash::FxHashMap as HashMap;

use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::pipeline::allow;
use crate::pipeline::{Mode, Session, import_path};
use crate::resolve::error::NameError;
use crate::resolve::{self, Input, LoadedModule, ModuleId};
use crate::source::{EVAL, Span, Text};
use crate::stdlib;
use crate::syntax;
use crate::syntax::ast::{Module, Stmt, StmtKind};

/// A text with those of all files that it imports; `None` if one cannot be read.
fn with_files(text: &str, folder: &Path) -> Option<String> {
    let mut all = text.to_string();
    let mut seen: Vec<PathBuf> = vec![];
    let mut unread = vec![(text.to_string(), folder.to_path_buf())];
    while let Some((text, folder)) = unread.pop() {
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("import \"").or_else(|| line.strip_prefix("from \"")) else { continue };
            let path = folder.join(rest.split('"').next()?);
            if seen.contains(&path) {
                continue;
            }
            let text = std::fs::read_to_string(&path).ok()?;
            all.push('\n');
            all.push_str(&text);
            unread.push((text, path.parent()?.to_path_buf()));
            seen.push(path);
        }
    }
    Some(all)
}

/// Loading under way.
pub struct Load<'a> {
    session: &'a mut Session,
    mode: Mode,
    diagnostics: Vec<Diagnostic>,
    incomplete: bool,
    /// Names of the modules that are being loaded, for the message about a circle.
    path: Vec<String>,
    /// If library modules need to hold no more than the program may use.
    lean: Option<stdlib::Lean>,
}

impl<'a> Load<'a> {
    pub fn new(session: &'a mut Session, mode: Mode) -> Load<'a> {
        Load { session, mode, diagnostics: vec![], incomplete: false, path: vec![], lean: None }
    }

    /// Diagnostics in the order of the sources, and whether the text ends too early.
    pub fn finish(mut self) -> (Vec<Diagnostic>, bool) {
        let sources = &self.session.sources;
        self.diagnostics.retain(|d| d.is_error() || !allow::is_allowed(d, sources));
        self.diagnostics.sort_by_key(|d| d.span());
        self.diagnostics.dedup();
        (self.diagnostics, self.incomplete)
    }

    /// The main text.
    pub fn main(&mut self, name: &str, text: &str) -> Option<ModuleId> {
        let folder = Path::new(name).parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.to_path_buf();
        if self.mode != Mode::Repl {
            self.session.vm.source_dir = folder.clone();
        }
        if let Ok(path) = Path::new(name).canonicalize() {
            // A module that imports the main file closes a circle.
            self.session.loaded.insert(path.display().to_string(), None);
        }
        let mode = match self.mode {
            Mode::Repl => resolve::Mode::Repl,
            _ => resolve::Mode::Script,
        };
        self.session.checker.follow_tests(self.mode == Mode::Test);
        self.session.checker.keep_types(self.session.keep_types);
        self.path.push(name.to_string());
        // A library module's own file, as for its tests, sees what library modules see.
        let stem = Path::new(name).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let is_library = stdlib::text(&stem).is_some_and(|own| own == text);
        self.lean = self.session.lean.then(|| with_files(text, &folder)).flatten().map(|all| stdlib::Lean::new(&all));
        let module = self.module(name, "<main>".into(), text.into(), folder, is_library, mode);
        self.path.pop();
        module
    }

    fn module(
        &mut self,
        source_name: &str,
        name: Rc<str>,
        text: Text,
        folder: PathBuf,
        is_library: bool,
        mode: resolve::Mode,
    ) -> Option<ModuleId> {
        let source = self.session.sources.add(source_name, text.clone());
        let text: &str = &text;
        let parsed = match &self.lean {
            Some(lean) if is_library && mode == resolve::Mode::Imported && !stdlib::is_overridden() => {
                syntax::parse(source, lean.text(&name).as_deref().unwrap_or(text))
            }
            _ => syntax::parse(source, text),
        };
        self.incomplete |= parsed.incomplete;
        let broken = !parsed.problems.is_empty();
        if !is_library {
            self.diagnostics.extend(allow::unknown(source, text));
        }
        self.diagnostics.extend(parsed.problems.iter().map(|p| p.to_diagnostic()));
        if broken && self.mode == Mode::Repl {
            return None;
        }
        let tree = Rc::new(parsed.module);
        let imports = self.imports(&tree, &folder);
        let id = ModuleId(self.session.program.modules.len() as u32);
        let (resolved, problems) = resolve::resolve(Input {
            tree: &tree,
            id,
            mode,
            is_library,
            program: &self.session.program,
            imports: &imports,
            outer: &self.session.names,
        });
        let holes: Vec<Span> =
            tree.lost.iter().map(|l| l.span).chain(parsed.problems.iter().map(|p| p.span())).collect();
        let declared_with_holes = has_broken_declaration(&tree);
        self.diagnostics.extend(problems.iter().map(NameError::to_diagnostic));
        let base = match self.session.program.modules.last() {
            Some(last) => self.session.bases[last.id.0 as usize] + last.resolved.globals.len() as u32,
            None => 0,
        };
        self.session.bases.push(base);
        self.session.folders.insert(id, folder);
        let loaded = LoadedModule { id, name, source, is_library, tree, resolved: Rc::new(resolved) };
        self.session.program.modules.push(Rc::new(loaded));
        if mode == resolve::Mode::Script {
            let tree = self.session.program.module(id).tree.clone();
            self.session.tell_params(&tree);
        }
        let found = self.session.checker.check_module(&self.session.program, id);
        // After syntax errors the tree has holes: what is reported must not be an echo of one.
        let source_text = text;
        let tells = |d: &Diagnostic| {
            let echo = |line: usize| holes.iter().any(|h| lines_of(source_text, *h).contains(&line));
            !broken
                || d.is_error()
                    && !(declared_with_holes && matches!(d.code, "E0320" | "E0321" | "E0323" | "E0325"))
                    && !d.labels.iter().any(|l| l.span.source == source && lines_of(source_text, l.span).any(echo))
        };
        let unchecked = self.session.unchecked;
        self.diagnostics.extend(found.into_iter().filter(|d| !unchecked && tells(d)));
        if mode != resolve::Mode::Imported {
            let is_sound = !self.diagnostics.iter().any(Diagnostic::is_error);
            self.session.checker.tell_unread(is_sound && self.mode != Mode::Repl && source_name != EVAL);
            let rest = self.session.checker.finish();
            // A line of the REPL is used by later ones.
            let later = mode == resolve::Mode::Repl;
            let wanted = |d: &Diagnostic| !unchecked && tells(d) && !(later && d.code == "W0306");
            self.diagnostics.extend(rest.into_iter().filter(wanted));
        }
        Some(id)
    }

    fn imports(&mut self, tree: &Module, folder: &Path) -> HashMap<Span, ModuleId> {
        let mut found = HashMap::default();
        for stmt in &tree.stmts {
            let StmtKind::Import(import) = &stmt.kind else { continue };
            let path = import_path(import);
            let module = if path.is_file {
                self.file(&path.path, path.span, folder)
            } else {
                self.library(&path.path, path.span)
            };
            if let Some(module) = module {
                found.insert(path.span, module);
            }
        }
        found
    }

    fn library(&mut self, name: &str, span: Span) -> Option<ModuleId> {
        match self.session.loaded.get(name) {
            Some(Some(module)) => return Some(*module),
            Some(None) => {
                self.circle(name, span);
                return None;
            }
            None => {}
        }
        let Some(text) = stdlib::text(name) else {
            let similar = did_you_mean(name, stdlib::names()).map(str::to_string);
            let problem = NameError::NoModule { path: name.into(), span, similar, is_file: false };
            self.diagnostics.push(problem.to_diagnostic());
            return None;
        };
        self.enter(name.to_string(), |load| {
            let source = format!("<stdlib>/{name}.dl");
            load.module(&source, name.into(), text.into(), PathBuf::new(), true, resolve::Mode::Imported)
        })
    }

    fn file(&mut self, path: &str, span: Span, folder: &Path) -> Option<ModuleId> {
        let full = folder.join(path);
        let key = full.canonicalize().unwrap_or_else(|_| full.clone()).display().to_string();
        match self.session.loaded.get(&key) {
            Some(Some(module)) => return Some(*module),
            Some(None) => {
                self.circle(path, span);
                return None;
            }
            None => {}
        }
        let text = match std::fs::read(&full) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => {
                    let at = error.utf8_error().valid_up_to();
                    self.diagnostics.push(
                        Diagnostic::error("E0504", format!("`{path}` is not UTF-8 text"))
                            .at(span, format!("byte {at} of the file is not part of a character"))
                            .help("save the file as UTF-8"),
                    );
                    return None;
                }
            },
            Err(error) => {
                let shown = std::path::absolute(&full).unwrap_or(full);
                self.diagnostics.push(
                    Diagnostic::error("E0203", format!("there is no file `{path}` to import"))
                        .at(span, format!("{error}"))
                        .note(format!("looked for {}", shown.display()))
                        .help("the path is relative to the importing file"),
                );
                return None;
            }
        };
        let name: Rc<str> = full.file_stem().map_or("module".into(), |s| s.to_string_lossy().into());
        let folder = full.parent().unwrap_or(Path::new(".")).to_path_buf();
        let shown = full.display().to_string();
        let shown = shown.strip_prefix("./").unwrap_or(&shown).replace("/./", "/");
        self.enter(key, |load| load.module(&shown, name, text.into(), folder, false, resolve::Mode::Imported))
    }

    /// Loads a module once, knowing that it is under way.
    fn enter(&mut self, key: String, load: impl FnOnce(&mut Self) -> Option<ModuleId>) -> Option<ModuleId> {
        self.session.loaded.insert(key.clone(), None);
        self.path.push(key.clone());
        let module = load(self);
        self.path.pop();
        match module {
            Some(module) => self.session.loaded.insert(key, Some(module)),
            None => self.session.loaded.remove(&key),
        };
        module
    }

    fn circle(&mut self, name: &str, span: Span) {
        let short = |p: &String| Path::new(p).file_name().map_or(p.clone(), |n| n.to_string_lossy().into_owned());
        let mut path: Vec<String> = self.path.iter().map(short).collect();
        path.push(short(&name.to_string()));
        self.diagnostics.push(NameError::ImportCycle { path, span }.to_diagnostic());
    }
}

/// The lines, from 0, that a span touches.
fn lines_of(text: &str, span: Span) -> std::ops::RangeInclusive<usize> {
    let line = |at: u32| text.bytes().take(at as usize).filter(|&b| b == b'\n').count();
    line(span.start)..=line(span.end.max(span.start))
}

/// True if a struct or an `impl` lacks parts that made no sense.
fn has_broken_declaration(tree: &Module) -> bool {
    let of_struct = |s: &&Stmt| matches!(s.kind, StmtKind::Struct(_) | StmtKind::Impl { .. });
    let inside = |outer: Span, inner: Span| outer.start <= inner.start && inner.end <= outer.end;
    tree.stmts.iter().filter(of_struct).any(|s| tree.lost.iter().any(|l| inside(s.span, l.span)))
}
