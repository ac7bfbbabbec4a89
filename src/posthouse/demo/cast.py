"""Who writes to the demo's first user: a small, friendly world around a workshop for clocks."""

from __future__ import annotations

from attrs import frozen

__all__ = ["FRIENDS", "LISTS", "SHOPS", "Person"]


@frozen
class Person:
    """A sender: the name as it is shown, and the address."""

    name: str
    address: str


FRIENDS = (
    Person("Mira Lindqvist", "mira@lantern.example"),
    Person("Tomás Ferreira", "tomas.ferreira@lantern.example"),
    Person("Agnes Achterberg", "agnes@canalhouse.example"),
    Person("Jonas Weiß", "jonas.weiss@uhrwerk.example"),
    Person("Priya Raman", "priya@lantern.example"),
    Person("Oskar Lund", "oskar@northpier.example"),
    Person("Hélène Moreau", "helene.moreau@atelier.example"),
    Person("Samuel Okafor", "samuel@lantern.example"),
    Person("Noor van Dijk", "noor@canalhouse.example"),
    Person("Ada Kowalczyk", "ada.kowalczyk@northpier.example"),
)

SHOPS = (
    Person("The Seed Drawer", "letters@seeddrawer.example"),
    Person("Harbour Reading Room", "news@readingroom.example"),
    Person("Kettle & Crumb", "hello@kettlecrumb.example"),
    Person("Night Train Journal", "editor@nighttrain.example"),
    Person("Museum of Small Machines", "visit@smallmachines.example"),
)

LISTS = (
    Person("Escapements discussion", "escapements@lists.uhrwerk.example"),
    Person("Neighbours of Mill Lane", "mill-lane@lists.canalhouse.example"),
)
