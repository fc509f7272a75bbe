"""The panel beside the face: gender, refinement, shadow, pencil, picture to trace, neighbours, real time."""
from __future__ import annotations

import time
from typing import Dict, Sequence

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QFrame,
    QGridLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QToolButton,
    QWidget,
)

from ..components import COMPONENTS
from .layouts import column, row
from .settings import GENDERS, K_RANGE, START, FaceSettings
from .words import Words, plain, tr

#: seconds between two steps by key or wheel that are still one gesture (ours)
GESTURE = 1.0


class Slider(QSlider):
    """A horizontal slider that jumps to where it is clicked and leaves the wheel to the panel."""

    def __init__(self, low: int = 0, high: int = 100, value: int = 100):
        super().__init__(Qt.Horizontal, minimum=low, maximum=high, value=value, pageStep=10)
        self.setMinimumWidth(44)

    def mousePressEvent(self, event) -> None:
        if event.button() == Qt.LeftButton:
            self.setSliderDown(True)  # before the jump, which belongs to what follows
            room = max(1, self.width() - 14)
            part = min(max((event.x() - 7) / room, 0.0), 1.0)
            self.setValue(self.minimum() + round(part * (self.maximum() - self.minimum())))
        super().mousePressEvent(event)

    def wheelEvent(self, event) -> None:
        event.ignore()


class Controls(QWidget):
    """changed(str)     something that decides the face; changes with the same word, unless it is "", are one gesture
    shade_changed    the shadow's switch or strength: only the page
    convert_wanted   the button
    real_time_changed(bool)
    """

    changed = pyqtSignal(str)
    shade_changed = pyqtSignal()
    convert_wanted = pyqtSignal()
    real_time_changed = pyqtSignal(bool)

    def __init__(self, words: Words, parent=None):
        super().__init__(parent)
        self._words, self._quiet = words, False
        self._leading = self._following = False  # All moves the five, or the five move All
        self._borrowed: Dict[str, object] = {}
        self._gesture, self._gestures, self._gesture_at = "", 0, 0.0
        self.setSizePolicy(QSizePolicy.Preferred, QSizePolicy.Minimum)
        column(self._make_gender(), _rule(), self._make_refinement(), self._make_borrowed(), _rule(),
               self._make_shadow(), _rule(), self._make_running(), 1, of=self, margins=(14, 10, 14, 10), spacing=8)

    # -- parts -----------------------------------------------------------------------------------------------------
    def _make_gender(self):
        self.genders = {}
        self._group = QButtonGroup(self)
        for gender in GENDERS:
            button = QPushButton(checkable=True)
            self._words.bind(button.setText, f"gender.{gender}")
            self._words.bind(button.setToolTip, f"gender.{gender}.tip")
            self._group.addButton(button)
            self.genders[gender] = button
        self.genders["female"].setChecked(True)
        self._group.buttonClicked.connect(lambda button: self._emit())
        return row(*self.genders.values(), spacing=6)

    def _make_refinement(self):
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(5)
        caption = QLabel(objectName="caption")
        self._words.bind(caption.setText, "refine")
        self.reset = QToolButton(autoRaise=True, clicked=lambda: self.reset_sliders())
        self._words.bind(self.reset.setText, "reset")
        self._words.bind(self.reset.setToolTip, "action.reset.tip")
        grid.addLayout(row((caption, 1), self.reset), 0, 0, 1, 3)
        ends = row(spacing=14)
        for text, side in (("refine.low", Qt.AlignLeft), ("refine.high", Qt.AlignRight)):
            # wrapped: the panel must not take the drawing's room where letters are large
            label = QLabel(objectName="quiet", alignment=side | Qt.AlignBottom, wordWrap=True)
            self._words.bind(label.setText, text)
            ends.addWidget(label)
        grid.addLayout(ends, 1, 0, 1, 3)
        self.sliders, self.values = {}, {}
        for n, name in enumerate(COMPONENTS + ("all",), 2):
            label, slider, value = QLabel(), Slider(value=START), self._number(str(START))
            self._words.bind(label.setText, f"part.{name}")
            self._words.bind(lambda text, slider=slider: slider.setAccessibleName(plain(text)), f"part.{name}")
            for widget in (label, slider):
                self._words.bind(lambda text, widget=widget: widget.setToolTip(
                    text + "\n" + tr("refine.tip")), f"part.{name}.tip")
            label.setBuddy(slider)
            grid.addWidget(label, n, 0)
            grid.addWidget(slider, n, 1)
            grid.addWidget(value, n, 2)
            self.sliders[name], self.values[name] = slider, value
            slider.valueChanged.connect(lambda v, name=name: self._moved(name, v))
            slider.sliderPressed.connect(self._new_gesture)
            slider.sliderReleased.connect(self._new_gesture)
        grid.setColumnStretch(1, 1)
        return grid

    def _make_borrowed(self):
        self.borrowed_box = QWidget()
        self._borrowed_row = column(of=self.borrowed_box, margins=(0, 0, 0, 0), spacing=4)
        self._words.changed.connect(lambda: self._show_borrowed())
        self.borrowed_box.hide()
        return self.borrowed_box

    def _make_shadow(self):
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        self.shadow = QCheckBox(checked=True)
        self._words.bind(self.shadow.setText, "shadow")
        self._words.bind(self.shadow.setToolTip, "shadow.tip")
        self.strength = self._percent(grid, 0, self.shadow, 40, "shadow.strength")
        self.pencil = self._percent(grid, 1, "pencil", 100, "pencil.tip")
        self.pencil.setMinimum(10)
        self.reference = self._percent(grid, 2, "reference", 35, "photo.opacity")
        self.show_reference(False)
        label, self.k = QLabel(), QSpinBox(minimum=K_RANGE[0], maximum=K_RANGE[1], value=15)
        label.setBuddy(self.k)
        self._words.bind(label.setText, "neighbours")
        self._words.bind(self.k.setAccessibleName, "neighbours")
        for widget in (label, self.k):
            self._words.bind(widget.setToolTip, "neighbours.tip")
        self.advanced = QToolButton(objectName="fold", checkable=True, autoRaise=True,
                                    toolButtonStyle=Qt.ToolButtonTextBesideIcon)
        self._words.bind(self.advanced.setText, "advanced")
        grid.addWidget(self.advanced, 3, 0, 1, 3, Qt.AlignLeft)
        grid.addWidget(label, 4, 0)
        grid.addWidget(self.k, 4, 1, 1, 2, Qt.AlignLeft)

        def unfold(open_: bool) -> None:
            self.advanced.setArrowType(Qt.DownArrow if open_ else Qt.RightArrow)
            label.setVisible(open_)
            self.k.setVisible(open_)

        self.advanced.toggled.connect(unfold)
        unfold(False)
        grid.setColumnStretch(1, 1)
        self.shadow.toggled.connect(self._shade)
        self.strength.valueChanged.connect(self._shade)
        self.k.valueChanged.connect(lambda v: self._emit("k"))
        return grid

    def _percent(self, grid, row: int, head, value: int, tip: str) -> Slider:
        """A slider from 0 to 100 after a box or a label (its code), and its value."""
        slider, shown = Slider(0, 100, value), self._number(str(value))
        if isinstance(head, str):
            code, head = head, QLabel()
            head.setBuddy(slider)
            self._words.bind(head.setText, code)
            self._words.bind(head.setToolTip, tip)
        self._words.bind(slider.setToolTip, tip)
        self._words.bind(slider.setAccessibleName, tip)
        slider.valueChanged.connect(lambda v: shown.setText(str(v)))
        for place, widget in enumerate((head, slider, shown)):
            grid.addWidget(widget, row, place)
        slider.row = (head, slider, shown)
        return slider

    def show_reference(self, there: bool) -> None:
        """Is there a picture under the page?"""
        for widget in self.reference.row:
            widget.setVisible(there)

    def _number(self, text: str) -> QLabel:
        value = QLabel(text, alignment=Qt.AlignRight | Qt.AlignVCenter)
        value.setFixedWidth(self.fontMetrics().horizontalAdvance("1000"))
        return value

    def _make_running(self):
        self.real_time = QCheckBox(checked=True)
        self._words.bind(self.real_time.setText, "real_time")
        self._words.bind(self.real_time.setToolTip, "real_time.tip")
        self.convert = QPushButton(objectName="primary", clicked=lambda: self.convert_wanted.emit())
        self._words.bind(self.convert.setText, "convert")
        self._words.bind(self.convert.setToolTip, "convert.tip")
        self.real_time.toggled.connect(self.real_time_changed)
        self.real_time.toggled.connect(lambda on: self.convert.setVisible(not on))
        self.convert.hide()
        return row(self.real_time, 1, self.convert)

    # -- values ----------------------------------------------------------------------------------------------------
    def settings(self) -> FaceSettings:
        """What the panel says now."""
        gender = next(name for name, button in self.genders.items() if button.isChecked())
        return FaceSettings(gender, {name: self.sliders[name].value() for name in COMPONENTS}, self.k.value(),
                            self.shadow.isChecked(), self.strength.value(), dict(self._borrowed))

    def show_settings(self, settings: FaceSettings) -> None:
        """Set the panel, silently."""
        self._quiet = True
        self.genders[settings.gender].setChecked(True)
        for name in COMPONENTS:
            self.sliders[name].setValue(settings.refine[name])
        self.k.setValue(settings.k)
        self.shadow.setChecked(settings.shadow)
        self.strength.setValue(settings.strength)
        self._borrowed = dict(settings.borrowed)
        self._show_borrowed()
        self._quiet = False

    def borrow(self, name: str, vector) -> None:
        self._borrowed[name] = vector
        self._show_borrowed()
        self._emit()

    def borrow_all(self, vectors: Dict[str, object]) -> None:
        """All five parts from elsewhere, as one step."""
        self._borrowed = dict(vectors)
        self._show_borrowed()
        self._emit()

    def give_back(self, name: str) -> None:
        if self._borrowed.pop(name, None) is not None:
            self._show_borrowed()
            self._emit()

    def set_genders(self, known: Sequence[str]) -> None:
        """Grey out what the bank does not tell apart; with one shared bank, both."""
        several = len(known) > 1
        for name, button in self.genders.items():
            button.setEnabled(several and name in known)
            tip = tr(f"gender.{name}.tip")
            button.setToolTip(tip if button.isEnabled() else tip + "\n" + tr("why.gender"))
        if len(known) == 1 and known[0] in self.genders:
            self.genders[known[0]].setChecked(True)

    # -- reactions -------------------------------------------------------------------------------------------------
    def _moved(self, name: str, value: int) -> None:
        self.values[name].setText(str(value))
        if name == "all":
            if not self._following:
                self._leading = True
                for component in COMPONENTS:
                    self.sliders[component].setValue(value)
                self._leading = False
                self._emit("all")
        elif not self._leading:
            self._following = True
            self.sliders["all"].setValue(round(sum(self.sliders[c].value() for c in COMPONENTS) / len(COMPONENTS)))
            self._following = False
            self._emit(name)

    def _shade(self) -> None:
        self.strength.setEnabled(self.shadow.isChecked())
        if not self._quiet:
            self.shade_changed.emit()

    def _show_borrowed(self) -> None:
        while self._borrowed_row.count():
            self._borrowed_row.takeAt(0).widget().deleteLater()
        for name in COMPONENTS:
            if name in self._borrowed:
                button = QPushButton("\u2715  " + tr("borrowed", part=tr(f"part.{name}")), objectName="borrowed",
                                     toolTip=tr("borrowed.tip"),
                                     clicked=lambda checked, name=name: self.give_back(name))
                button.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Fixed)  # the panel stays as wide as it is
                self._borrowed_row.addWidget(button)
        self.borrowed_box.setVisible(bool(self._borrowed))

    def _emit(self, name: str = "") -> None:
        """name: of the control, where it may move on in the same gesture."""
        if self._quiet:
            return
        now = time.monotonic()
        held = name in self.sliders and self.sliders[name].isSliderDown()
        if name != self._gesture or not held and now - self._gesture_at > GESTURE:
            self._new_gesture()
        self._gesture, self._gesture_at = name, now
        self.changed.emit(f"{name} {self._gestures}" if name else "")

    def _new_gesture(self) -> None:
        self._gestures += 1

    def reset_sliders(self) -> None:
        """All five as they are at first, as one step."""
        self._new_gesture()
        self._leading = True
        for name in COMPONENTS:
            self.sliders[name].setValue(START)
        self._leading = False
        self.sliders["all"].setValue(START)
        self._emit()


def _rule() -> QFrame:
    return QFrame(objectName="rule", frameShape=QFrame.HLine)
