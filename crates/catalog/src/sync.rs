//! The primitives that threads synchronize with: the standard library's, or loom's, which try
//! every interleaving and every value that a load may return.

#[cfg(not(loom))]
mod real {
    pub(crate) use std::sync::atomic::fence;
    pub(crate) use std::sync::{Mutex, MutexGuard};

    use std::sync::{Arc, OnceLock};

    use arc_swap::ArcSwap;

    /// An `Arc` that is replaced while it is read. The old value lives until its last reader has
    /// let go of it.
    pub(crate) struct Current<T>(ArcSwap<T>);

    pub(crate) type Loaded<T> = arc_swap::Guard<Arc<T>>;

    impl<T> Current<T> {
        pub(crate) fn new(first: Arc<T>) -> Self {
            Current(ArcSwap::new(first))
        }

        #[inline]
        pub(crate) fn load(&self) -> Loaded<T> {
            self.0.load()
        }

        pub(crate) fn replace(&self, value: Arc<T>) {
            self.0.store(value);
        }
    }

    /// An `Arc` that is set once.
    pub(crate) struct Successor<T>(OnceLock<Arc<T>>);

    impl<T> Successor<T> {
        pub(crate) fn none() -> Self {
            Successor(OnceLock::new())
        }

        #[inline]
        pub(crate) fn get(&self) -> Option<&Arc<T>> {
            self.0.get()
        }

        pub(crate) fn set(&self, value: Arc<T>) {
            assert!(self.0.set(value).is_ok(), "a block has one successor");
        }
    }

    /// Waits a little; longer when it has waited before.
    #[derive(Default)]
    pub(crate) struct Wait(u32);

    impl Wait {
        /// Spins before a waiting thread yields its processor, which the writer may need.
        const SPINS_MAX: u32 = 64;

        #[cold]
        pub(crate) fn once_more(&mut self) {
            self.0 += 1;
            if self.0 <= Self::SPINS_MAX {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

#[cfg(loom)]
mod modelled {
    pub(crate) use loom::sync::atomic::fence;
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    use std::sync::{Arc, OnceLock};

    use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// As the real one, but it publishes an index into values that are never freed, so that a load
    /// may return any value that the ordering allows and not only the newest.
    pub(crate) struct Current<T> {
        values: std::sync::Mutex<Vec<Arc<T>>>,
        newest: AtomicUsize,
    }

    pub(crate) type Loaded<T> = Arc<T>;

    impl<T> Current<T> {
        pub(crate) fn new(first: Arc<T>) -> Self {
            Current { values: std::sync::Mutex::new(vec![first]), newest: AtomicUsize::new(0) }
        }

        pub(crate) fn load(&self) -> Loaded<T> {
            let index = self.newest.load(Ordering::Acquire);
            Arc::clone(&self.values.lock().unwrap()[index])
        }

        pub(crate) fn replace(&self, value: Arc<T>) {
            let index = {
                let mut values = self.values.lock().unwrap();
                values.push(value);
                values.len() - 1
            };
            self.newest.store(index, Ordering::Release);
        }
    }

    /// As the real one, with a flag that a load may still see unset.
    pub(crate) struct Successor<T> {
        value: OnceLock<Arc<T>>,
        set: AtomicBool,
    }

    impl<T> Successor<T> {
        pub(crate) fn none() -> Self {
            Successor { value: OnceLock::new(), set: AtomicBool::new(false) }
        }

        pub(crate) fn get(&self) -> Option<&Arc<T>> {
            if self.set.load(Ordering::Acquire) { self.value.get() } else { None }
        }

        pub(crate) fn set(&self, value: Arc<T>) {
            assert!(self.value.set(value).is_ok(), "a block has one successor");
            self.set.store(true, Ordering::Release);
        }
    }

    /// Lets the other threads go on.
    #[derive(Default)]
    pub(crate) struct Wait;

    impl Wait {
        pub(crate) fn once_more(&mut self) {
            loom::thread::yield_now();
        }
    }
}

#[cfg(loom)]
pub(crate) use modelled::*;
#[cfg(not(loom))]
pub(crate) use real::*;
