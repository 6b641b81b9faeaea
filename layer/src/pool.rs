//! Threads that compress blocks.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

type Task = Box<dyn FnOnce() + Send>;

/// Threads that sleep while there is nothing to do. Those of a work-stealing pool look for work so eagerly that they
/// take the processor from whoever makes it, which here is one thread that reads files.
pub(crate) struct Pool {
    tasks: Sender<Task>,
}

impl Pool {
    /// Starts the threads. They end when the pool is dropped and all tasks are done.
    pub(crate) fn new(threads: usize) -> io::Result<Self> {
        let (tasks, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for n in 0..threads {
            let receiver = Arc::clone(&receiver);
            std::thread::Builder::new().name(format!("compress-{n}")).spawn(move || work(&receiver))?;
        }
        Ok(Self { tasks })
    }

    /// Has a task done; tasks are begun in the order they come.
    pub(crate) fn spawn(&self, task: impl FnOnce() + Send + 'static) {
        // Without threads, which takes a panic in each, the task is dropped, which its owner notices.
        let _ = self.tasks.send(Box::new(task));
    }
}

fn work(tasks: &Mutex<Receiver<Task>>) {
    loop {
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match task {
            Ok(task) => task(),
            Err(_) => return,
        }
    }
}
