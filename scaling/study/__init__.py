"""What is asked of a sweep: study files, checked before anything runs. No torch."""

from scaling.study.grid import read_study
from scaling.study.parts import DataSpec, OptimSpec, ScheduleSpec
from scaling.study.spec import ModelSpec, Stage, Study, Trunk

__all__ = ["DataSpec", "ModelSpec", "OptimSpec", "ScheduleSpec", "Stage", "Study", "Trunk", "read_study"]
