"""What Ringba keeps beside the calls: the columns of its reports, its campaigns, its numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from simulator import ringba_records as records

Json = dict[str, Any]

TOLL_FREE = (800, 833, 844, 855, 866, 877, 888)


def column(name: str) -> Json:
    kind = records.ALL_COLUMNS[name]
    title = "".join(f" {letter}" if letter.isupper() else letter for letter in name)
    return {
        "id": name,
        "title": title[0].upper() + title[1:],
        "roles": ["admin", "user"],
        "type": kind,
        "isTag": False,
        "groupName": "Call",
        "filterGroupName": "Call",
        "supportsFilter": kind != "date",
        "supportsSorting": name not in records.UNSORTED,
        "isComputed": name == "timeToConnectInSeconds",
    }


def campaign(campaign_id: str, name: str) -> Json:
    return {
        "id": campaign_id,
        "name": name,
        "accountId": records.ACCOUNT,
        "enabled": True,
        "version": 3,
        "userCampaignId": "",
        "countryCode": "US",
        "ivrEnabled": False,
        "completed": True,
        "affiliateNumbers": [],
        "routes": [],
        "affiliates": [],
        "recordSetting": {"record": True, "recordFromAnswer": True, "trimSilence": False, "dualChannelRecording": True},
    }


def number(number_id: str, phone: str, area: int, campaign: str, now: datetime) -> Json:
    bought = now.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
    return {
        "id": number_id,
        "phoneNumber": phone,
        "displayNumber": phone,
        "provider": "callrSipForward",
        "providerAccountId": records.ACCOUNT,
        "providerId": phone,
        "campaignId": campaign,
        "allocationDT": bought,
        "lastChargeDT": bought,
        "deAllocationDT": "0001-01-01T00:00:00",
        "autoRenew": True,
        "renewDOM": now.day,
        "isTollFree": area in TOLL_FREE,
        "isActivated": False,
        "assignmentSettings": {"countryCode": "US", "areaCode": str(area), "isTollFree": area in TOLL_FREE},
        "deallocFlag": False,
        "failedRechargeAttempts": 0,
        "isCarrierNumber": True,
        "carrierNumberId": number_id,
        "accountId": records.ACCOUNT,
        "enabled": True,
        "version": 3,
    }
