"""AsterDEX's error codes as data: every documented one (157) and those seen live, each once, with an action per call.

Sources: the official V3 documents, and research: aster.md 1.8. What is done with it: `aster_codes.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from trading.exchange.base import Refusal


class Action(StrEnum):
    """What is done about an answer."""

    OK = "ok"
    """It is as it was wanted, or the answer to the question."""
    RETRY = "retry"
    """Certainly not done: it may be sent again. An entry is not; its next cycle decides anew."""
    ASK = "ask"
    """Nobody knows whether it was done: the exchange is asked, by client id or by reading back."""
    REREAD = "re-read"
    """Not done, and our picture is out of date: read position, orders, prices or rules before anything else."""
    SHRINK = "shrink"
    """Not done: smaller, in parts, or not at all."""
    CLOSE = "close"
    """Not done, and it will not be: the position has no protection and is closed."""
    REDUCING = "reducing"
    """Not done: nothing is opened until a person has looked."""
    HALT = "halt"
    """Not done: the account is stopped."""
    BUG = "bug"
    """Not done, because what we asked is wrong: an incident, never repeated unchanged."""


class Call(StrEnum):
    """What was asked of the exchange."""

    ENTRY = "entry"
    PROTECTIVE = "protective"
    """Placing a stop or a target."""
    CLOSE = "close"
    CANCEL = "cancel"
    QUERY = "query"
    """What became of one order."""
    LEVERAGE = "leverage"
    MARGIN_MODE = "margin mode"
    POSITION_MODE = "position mode"
    """One-way or hedge, and whether collateral is shared."""
    LISTEN_KEY = "listen key"
    READ = "read"
    """Any other reading: account, balance, positions, orders, trades, income, fees."""

    @property
    def question(self) -> bool:
        """Tell whether nothing changes by it at the exchange, so that not knowing the outcome is no danger."""
        return self in (Call.QUERY, Call.READ, Call.LISTEN_KEY)


@dataclass(frozen=True)
class Family:
    """Codes that mean the same. `written` holds the action of each call, in the order of `Call`; bars only group."""

    name: str
    meaning: str
    written: str
    listed: str
    """Code and name, as in 1121:BAD_SYMBOL, without the minus that all codes have."""
    refusal: Refusal = Refusal.OTHER
    actions: dict[Call, Action] = field(init=False)
    codes: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        words = [Action(word) for word in self.written.split() if word != "|"]
        pairs = [entry.split(":") for entry in self.listed.split()]
        object.__setattr__(self, "actions", dict(zip(Call, words, strict=True)))
        object.__setattr__(self, "codes", {-int(code): name for code, name in pairs})


# The order of the actions:
#   entry protective close | cancel query | leverage, margin mode, position mode | listen key, read
FAMILIES: Final = (
    Family(
        "outcome",
        "The venue broke off inside: nobody knows what was done.",
        "ask ask ask | ask retry | ask ask ask | retry retry",
        """
        1000:UNKNOWN 1001:DISCONNECTED 1006:UNEXPECTED_RESP 1007:TIMEOUT 1010:ERROR_MSG_RECEIVED
        1016:SERVICE_SHUTTING_DOWN
        """,
    ),
    Family(
        "turned away",
        "Too many requests or orders: turned away unread.",
        "retry retry retry | retry retry | retry retry retry | retry retry",
        """
        1003:TOO_MANY_REQUESTS 1015:TOO_MANY_ORDERS
        """,
    ),
    Family(
        "clock",
        "Nonce or timestamp outside of the window, or used before: not done.",
        "retry retry retry | retry retry | retry retry retry | retry retry",
        """
        1021:INVALID_TIMESTAMP 4225:NONCE_EXPIRED
        """,
    ),
    Family(
        "credentials",
        "Keys, address, permissions or state of the account: only a person can put it right.",
        "reducing reducing reducing | reducing reducing | reducing reducing reducing | reducing reducing",
        """
        1002:UNAUTHORIZED 1011:NON_WHITE_LIST 1022:INVALID_SIGNATURE 1109:BAD_ACCOUNT 2014:BAD_API_KEY_FMT
        2015:REJECTED_MBX_KEY 4027:INVALID_ACCOUNT_TYPE 4056:INVALID_API_KEY_TYPE
        4057:INVALID_RSA_PUBLIC_KEY 4088:NO_PLACE_ORDER_PERMISSION 5050:DEPOSIT_REQUIRED
        """,
    ),
    Family(
        "reduce only account",
        "The venue lets this account only reduce.",
        "reducing close re-read | bug bug | bug bug bug | bug bug",
        """
        4087:REDUCE_ONLY_ORDER_PERMISSION
        """,
    ),
    Family(
        "liquidation",
        "The venue is liquidating the account.",
        "halt halt halt | halt halt | halt halt halt | halt halt",
        """
        2023:USER_IN_LIQUIDATION
        """,
    ),
    Family(
        "position mode",
        "The account is in hedge mode: somebody switched it.",
        "reducing close reducing | reducing bug | reducing reducing reducing | bug bug",
        """
        4060:INVALID_POSITION_SIDE 4061:POSITION_SIDE_NOT_MATCH
        """,
    ),
    Family(
        "duplicate",
        "An open order has this client id: it is ours, and arrived before.",
        "ask ask ask | bug bug | bug bug bug | bug bug",
        """
        4116:DUPLICATED_CLIENT_ORDER_ID
        """,
        Refusal.DUPLICATE_ID,
    ),
    Family(
        "no such order",
        "There is no such order: as an answer to a question that is clean.",
        "bug close reducing | re-read ok | bug bug bug | bug bug",
        """
        2013:NO_SUCH_ORDER
        """,
        Refusal.UNKNOWN_ORDER,
    ),
    Family(
        "order moved on",
        "The order is not open any more, or never was.",
        "bug close re-read | re-read re-read | bug bug bug | bug bug",
        """
        2011:CANCEL_REJECTED 4000:INVALID_ORDER_STATUS
        """,
        Refusal.UNKNOWN_ORDER,
    ),
    Family(
        "margin",
        "Not enough money for it, or too large at this leverage.",
        "shrink close re-read | bug bug | re-read reducing reducing | bug bug",
        """
        2010:NEW_ORDER_REJECTED 2018:BALANCE_NOT_SUFFICIENT 2019:MARGIN_NOT_SUFFICIEN
        2027:MAX_LEVERAGE_RATIO 2028:MIN_LEVERAGE_RATIO 4050:CROSS_BALANCE_INSUFFICIENT
        4051:ISOLATED_BALANCE_INSUFFICIENT
        """,
        Refusal.MARGIN,
    ),
    Family(
        "too many orders",
        "Too many open orders: those without a position have to go first.",
        "re-read re-read re-read | bug bug | bug bug bug | bug bug",
        """
        2025:MAX_OPEN_ORDER_EXCEEDED 4045:MAX_STOP_ORDER_EXCEEDED
        """,
    ),
    Family(
        "reduce only",
        "There is nothing, or not enough, to reduce.",
        "bug re-read re-read | bug bug | bug bug bug | bug bug",
        """
        2022:REDUCE_ONLY_REJECT 2024:POSITION_NOT_SUFFICIENT 4118:REDUCE_ONLY_MARGIN_CHECK_FAILED
        """,
        Refusal.REDUCE_ONLY,
    ),
    Family(
        "would trigger",
        "The stop or target would fire at once: the price is there already.",
        "bug close re-read | bug bug | bug bug bug | bug bug",
        """
        2021:ORDER_WOULD_IMMEDIATELY_TRIGGER 4142:STRATEGY_INVALID_TRIGGER_PRICE
        """,
        Refusal.WOULD_TRIGGER,
    ),
    Family(
        "largest",
        "More than one order may have.",
        "shrink re-read shrink | bug bug | bug bug bug | bug bug",
        """
        4005:QTY_GREATER_THAN_MAX_QTY
        """,
        Refusal.FILTER,
    ),
    Family(
        "filter",
        "Tick, step, least or most of the contract: its rules have changed, or it is too small.",
        "shrink re-read re-read | bug bug | bug bug bug | bug bug",
        """
        1111:BAD_PRECISION 4001:PRICE_LESS_THAN_ZERO 4002:PRICE_GREATER_THAN_MAX_PRICE
        4003:QTY_LESS_THAN_ZERO 4004:QTY_LESS_THAN_MIN_QTY 4006:STOP_PRICE_LESS_THAN_ZERO
        4007:STOP_PRICE_GREATER_THAN_MAX_PRICE 4013:PRICE_LESS_THAN_MIN_PRICE
        4014:PRICE_NOT_INCREASED_BY_TICK_SIZE 4023:QTY_NOT_INCREASED_BY_STEP_SIZE 4164:MIN_NOTIONAL
        5076:MIN_ORDER_VALUE
        """,
        Refusal.FILTER,
    ),
    Family(
        "band",
        "The price is too far from the mark: prices have moved.",
        "re-read re-read re-read | bug bug | bug bug bug | bug bug",
        """
        4016:PRICE_HIGHTER_THAN_MULTIPLIER_UP 4024:PRICE_LOWER_THAN_MULTIPLIER_DOWN
        4183:PRICE_HIGHTER_THAN_STOP_MULTIPLIER_UP 4184:PRICE_LOWER_THAN_STOP_MULTIPLIER_DOWN
        5060:PRICE_OUT_OF_BAND
        """,
        Refusal.FILTER,
    ),
    Family(
        "post only",
        "It was to rest in the book and would have been filled: prices have moved.",
        "re-read re-read re-read | bug bug | bug bug bug | bug bug",
        """
        5022:POST_ONLY_REJECTED
        """,
    ),
    Family(
        "thin market",
        "The book has nobody, or nobody near enough: not done.",
        "retry retry retry | bug bug | bug bug bug | bug bug",
        """
        1112:NO_DEPTH 2020:UNABLE_TO_FILL 4131:MARKET_ORDER_REJECT
        """,
    ),
    Family(
        "symbol",
        "The contract is unknown, closed or not traded now.",
        "re-read close re-read | re-read re-read | re-read re-read bug | bug re-read",
        """
        1121:BAD_SYMBOL 2016:NO_TRADING_WINDOW 4022:WRONG_MARKET_STATUS 4140:INVALID_OPENING_POSITION_STATUS
        4141:SYMBOL_ALREADY_CLOSED 4144:INVALID_PAIR
        """,
        Refusal.UNKNOWN_SYMBOL,
    ),
    Family(
        "leverage",
        "The leverage is not allowed, or not with a position.",
        "bug close reducing | bug bug | re-read bug bug | bug bug",
        """
        2030:LEVERAGE_WITH_POSITION 4028:INVALID_LEVERAGE 4161:ISOLATED_LEVERAGE_REJECT_WITH_POSITION
        """,
        Refusal.LEVERAGE,
    ),
    Family(
        "margin mode kept",
        "The margin mode is that already.",
        "bug close reducing | bug bug | bug ok bug | bug bug",
        """
        4046:NO_NEED_TO_CHANGE_MARGIN_TYPE
        """,
    ),
    Family(
        "position mode kept",
        "The position mode is that already.",
        "bug close reducing | bug bug | bug bug ok | bug bug",
        """
        4059:NO_NEED_TO_CHANGE_POSITION_SIDE
        """,
    ),
    Family(
        "margin mode stuck",
        "The margin mode cannot change with something open or collateral shared.",
        "bug close reducing | bug bug | bug reducing bug | bug bug",
        """
        4047:THERE_EXISTS_OPEN_ORDERS 4048:THERE_EXISTS_QUANTITY 4168:ISOLATED_WITH_MULTI_ASSETS
        """,
    ),
    Family(
        "position mode stuck",
        "The position mode cannot change with something open.",
        "bug close reducing | bug bug | bug bug reducing | bug bug",
        """
        4067:POSITION_SIDE_CHANGE_EXISTS_OPEN_ORDERS 4068:POSITION_SIDE_CHANGE_EXISTS_QUANTITY
        """,
    ),
    Family(
        "listen key",
        "There is no such listen key: another one is made.",
        "bug close reducing | bug bug | bug bug bug | retry bug",
        """
        1125:INVALID_LISTEN_KEY
        """,
    ),
    Family(
        "form",
        "The request is wrong in itself: the fault is ours.",
        "bug close reducing | bug bug | bug bug bug | bug bug",
        """
        1013:INVALID_MESSAGE 1014:UNKNOWN_ORDER_COMPOSITION 1020:UNSUPPORTED_OPERATION
        1023:START_TIME_GREATER_THAN_END_TIME 1100:ILLEGAL_CHARS 1101:TOO_MANY_PARAMETERS
        1102:MANDATORY_PARAM_EMPTY_OR_MALFORMED 1103:UNKNOWN_PARAM 1104:UNREAD_PARAMETERS 1105:PARAM_EMPTY
        1106:PARAM_NOT_REQUIRED 1108:BAD_ASSET 1110:BAD_INSTRUMENT_TYPE 1114:TIF_NOT_REQUIRED
        1115:INVALID_TIF 1116:INVALID_ORDER_TYPE 1117:INVALID_SIDE 1118:EMPTY_NEW_CL_ORD_ID
        1119:EMPTY_ORG_CL_ORD_ID 1120:BAD_INTERVAL 1127:MORE_THAN_XX_HOURS 1128:OPTIONAL_PARAMS_BAD_COMBO
        1130:INVALID_PARAMETER 1136:INVALID_NEW_ORDER_RESP_TYPE 2026:REDUCE_ONLY_ORDER_TYPE_NOT_SUPPORTED
        4015:INVALID_CL_ORD_ID_LEN 4020:TARGET_STRATEGY_INVALID 4021:INVALID_DEPTH_LIMIT
        4031:INVALID_WORKING_TYPE 4062:REDUCE_ONLY_CONFLICT 4084:UPCOMING_METHOD 4104:INVALID_CONTRACT_TYPE
        4135:INVALID_ACTIVATION_PRICE 4137:QUANTITY_EXISTS_WITH_CLOSE_POSITION 4138:REDUCE_ONLY_MUST_BE_TRUE
        4139:ORDER_TYPE_CANNOT_BE_MKT 4165:INVALID_TIME_INTERVAL
        """,
    ),
    Family(
        "foreign",
        "Belongs to calls that are never made: options, transfers, white lists, the venue's own administration.",
        "bug close reducing | bug bug | bug bug bug | bug bug",
        """
        1004:DUPLICATE_IP 1005:NO_SUCH_IP 1113:WITHDRAW_NOT_NEGATIVE 4008:TICK_SIZE_LESS_THAN_ZERO
        4009:MAX_PRICE_LESS_THAN_MIN_PRICE 4010:MAX_QTY_LESS_THAN_MIN_QTY 4011:STEP_SIZE_LESS_THAN_ZERO
        4012:MAX_NUM_ORDERS_LESS_THAN_ZERO 4017:MULTIPLIER_UP_LESS_THAN_ZERO
        4018:MULTIPLIER_DOWN_LESS_THAN_ZERO 4019:COMPOSITE_SCALE_OVERFLOW
        4025:MULTIPLIER_DECIMAL_LESS_THAN_ZERO 4026:COMMISSION_INVALID 4029:INVALID_TICK_SIZE_PRECISION
        4030:INVALID_STEP_SIZE_PRECISION 4032:EXCEED_MAX_CANCEL_ORDER_SIZE 4033:INSURANCE_ACCOUNT_NOT_FOUND
        4044:INVALID_BALANCE_TYPE 4049:ADD_ISOLATED_MARGIN_REJECT 4052:NO_NEED_TO_CHANGE_AUTO_ADD_MARGIN
        4053:AUTO_ADD_CROSSED_MARGIN_REJECT 4054:ADD_ISOLATED_MARGIN_NO_POSITION_REJECT
        4055:AMOUNT_MUST_BE_POSITIVE 4058:MAX_PRICE_TOO_LARGE 4063:INVALID_OPTIONS_REQUEST_TYPE
        4064:INVALID_OPTIONS_TIME_FRAME 4065:INVALID_OPTIONS_AMOUNT 4066:INVALID_OPTIONS_EVENT_TYPE
        4069:INVALID_OPTIONS_PREMIUM_FEE 4070:INVALID_CL_OPTIONS_ID_LEN 4071:INVALID_OPTIONS_DIRECTION
        4072:OPTIONS_PREMIUM_NOT_UPDATE 4073:OPTIONS_PREMIUM_INPUT_LESS_THAN_ZERO
        4074:OPTIONS_AMOUNT_BIGGER_THAN_UPPER 4075:OPTIONS_PREMIUM_OUTPUT_ZERO 4076:OPTIONS_PREMIUM_TOO_DIFF
        4077:OPTIONS_PREMIUM_REACH_LIMIT 4078:OPTIONS_COMMON_ERROR 4079:INVALID_OPTIONS_ID
        4080:OPTIONS_USER_NOT_FOUND 4081:OPTIONS_NOT_FOUND 4082:INVALID_BATCH_PLACE_ORDER_SIZE
        4083:PLACE_BATCH_ORDERS_FAIL 4085:INVALID_NOTIONAL_LIMIT_COEF 4086:INVALID_PRICE_SPREAD_THRESHOLD
        4114:INVALID_CLIENT_TRAN_ID_LEN 4115:DUPLICATED_CLIENT_TRAN_ID
        """,
    ),
)
