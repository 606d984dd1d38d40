"""From an item of the bank to a question with its numbers and its order."""

from __future__ import annotations

from mlsd_app.quiz.questions.base import ChoiceQuestion, LabFacts, OrderQuestion, Question, Shown, shuffled
from mlsd_app.quiz.questions.labs import lab_question
from mlsd_app.quiz.questions.numbers import number_question
from mlsd_app.quiz.questions.recall import FlashcardQuestion, FreeQuestion
from problems.quiz_schema import Choice, Flashcard, Free, LabQuestion, Number, Order, QuizItem, Slip
from problems.schema import Problem
from simulators.errors import InvalidInput


def draw(item: QuizItem, problem: Problem, seed: int, instance: LabFacts | None = None) -> Question:
    """The question: the same item, seed and instance give the same one. InvalidInput for a lab question without an instance."""
    match item:
        case Flashcard():
            return FlashcardQuestion(item, problem, seed)
        case Free():
            return FreeQuestion(item, problem, seed)
        case Choice():
            return _choice(item, problem, seed)
        case Slip():
            return _slip(item, problem, seed)
        case Order():
            return _order(item, problem, seed)
        case Number():
            return number_question(item, problem, seed)
        case LabQuestion():
            if instance is None:
                raise InvalidInput(f"The question {item.id!r} has no numbers yet; a run of its lab makes them.", field="instance")
            return lab_question(item, problem, seed, instance)


def _choice(item: Choice, problem: Problem, seed: int) -> ChoiceQuestion:
    order = shuffled(len(item.options), seed, item.id)
    if item.pin == "last":
        last = len(item.options) - 1
        order = [place for place in order if place != last] + [last]
    options = tuple(Shown(item.options[i].text, item.options[i].correct, item.options[i].why) for i in order)
    return ChoiceQuestion(item, problem, seed, options, item.multiple)


def _slip(item: Slip, problem: Problem, seed: int) -> ChoiceQuestion:
    """Steps stay in their order: it is the argument. The wrong one is explained by what it should say."""
    steps = tuple(
        Shown(step, number == item.wrong, item.right if number == item.wrong else "") for number, step in enumerate(item.steps, start=1)
    )
    return ChoiceQuestion(item, problem, seed, steps)


def _order(item: Order, problem: Problem, seed: int) -> OrderQuestion:
    return ordered(item, problem, seed, item.items, item.axis)


def ordered(item: Order, problem: Problem, seed: int, lines: tuple[str, ...], axis: str) -> OrderQuestion:
    """Lines in an order that is not the right one."""
    rank = shuffled(len(lines), seed, item.id)
    if rank == sorted(rank):
        rank = rank[1:] + rank[:1]
    return OrderQuestion(item, problem, seed, tuple(lines[place] for place in rank), tuple(rank), axis)
