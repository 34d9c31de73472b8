"""Invoke's entry point; the tasks are in chapelle/tasks/. List them with `invoke --list`."""

from chapelle.tasks import namespace

ns = namespace()
