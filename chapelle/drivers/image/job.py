"""One request for images: of what, from where, for whom."""

import msgspec

from chapelle import archive
from chapelle.drivers.image.recipe import Archive, Recipe, read, resolve
from chapelle.settings import Settings


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What images are to be made of.

    Arguments:
        settings: whose cache they are kept in.
        recipe: `inventory/image.yml`.
        source: the archive, the same for all images of a job.
        say: told what goes on.
    """

    settings: Settings
    recipe: Recipe
    source: Archive
    say: archive.Say


def job(settings: Settings, say: archive.Say) -> Job:
    """The request for the images of this clone's recipe, from the archive as it is now.

    Raises:
        InputError: the recipe has mistakes.
        RefusedError: the machine is none whose archive could be used.
        ChapelleError: apt knows no archive.
    """
    recipe = read(settings.root / "inventory/image.yml")
    return Job(settings=settings, recipe=recipe, source=resolve(recipe), say=say)
